"""The doors of pyknockd.yaml."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from pyknockd.config.policies import doors_of, is_interface
from pyknockd.model import Directive, DoorSettings, Policy
from pyknockd.system import nodes
from pyknockd.system.nodes import Remarks

ALL = """
openSSH:
  allow: [192.0.2.0/24, "2001:db8::/32"]
  deny: 192.0.2.66
  cooldown: 30
  strict: true
  forgive: 1
  max_open: 100
  command_timeout: 20
  interfaces: [eth0]
  mask: {v4: 24, v6: 64}
web:
  sequence: [7000, "8000:udp"]
  start_command: /bin/true
"""


def read(text: str) -> tuple[tuple[DoorSettings, ...], list[tuple[int, str]]]:
    remarks = Remarks()
    node = nodes.compose(text, remarks)
    assert node is not None
    doors = doors_of(node, remarks)
    return doors, [(one.line, one.text) for one in remarks.found]


def test_every_key_is_read() -> None:
    (ssh, web), mistakes = read(ALL)
    assert mistakes == []
    assert ssh == DoorSettings(
        "openSSH",
        2,
        Policy(
            allow=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
            deny=(ip_network("192.0.2.66"),),
            cooldown=30.0,
            strict=True,
            forgive=1,
            max_open=100,
            command_timeout=20.0,
            interfaces=("eth0",),
            v4=24,
            v6=64,
        ),
    )
    assert web.policy == Policy()
    assert web.directives == (
        Directive("sequence", "7000,8000:udp", 13),
        Directive("start_command", "/bin/true", 14),
    )


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("- openSSH", 1, "doors: found a list; expected the name of each door"),
        ("a: {}\na: {}", 2, "the door 'a' is there twice"),
        ("a:\n  allow: [192.0.2.1/24]", 2, "allow: 192.0.2.1/24 has host bits set"),
        ("a:\n  deny: home", 2, "deny: 'home' does not appear to be an IPv4 or IPv6 network"),
        ("a:\n  cooldown: 0", 2, "cooldown: found '0'; expected a number from 1 to"),
        ("a:\n  strict: perhaps", 2, "strict: found 'perhaps'; expected true or false"),
        ("a:\n  mask: {v4: 33}", 2, "v4: found '33'; expected a number from 1 to 32"),
        ("a:\n  mask: 24", 2, "found '24'; expected mask to hold KEY: VALUE"),
        ("a:\n  interfaces: ['a b']", 2, "interfaces: found a list; expected a list of names"),
        ("a:\n  cooldwn: 3", 2, "no key cooldwn in the door 'a'; did you mean cooldown?"),
        ("a:\n  sequence: {b: c}", 2, "sequence: found a mapping; expected what knockd.conf(5)"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, line: int, said: str) -> None:
    _, mistakes = read(text)
    (mistake,) = mistakes
    assert mistake[0] == line
    assert mistake[1].startswith(said)


def test_a_name_of_an_interface_can_be_seen_and_has_no_blank() -> None:
    assert [is_interface(name) for name in ("eth0", "", "a b", "a\n")] == [
        True,
        False,
        False,
        False,
    ]
