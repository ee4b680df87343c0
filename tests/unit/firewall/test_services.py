"""Ports by name."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pyknockd.firewall import services
from pyknockd.firewall.rule import Rule
from pyknockd.firewall.services import numbered
from tests.support.rules import rule


def made(command: str) -> Rule:
    found = rule(command)
    assert found is not None
    return found


def test_the_name_of_a_port_becomes_its_number() -> None:
    try:
        number = socket.getservbyname("ssh", "tcp")
    except OSError:
        pytest.skip("needs /etc/services: apt install netbase")
    for option in ("--dport", "! --sport", "--destination-port"):
        named = made(f"-A INPUT -s 192.0.2.1 -p tcp {option} ssh -j ACCEPT")
        assert numbered(named) == made(f"-A INPUT -s 192.0.2.1 -p tcp {option} {number} -j ACCEPT")


def test_names_are_looked_up_in_the_file_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the host asks a server for what the file lacks, that would keep the loop waiting."""
    file = tmp_path / "services"
    file.write_text("# knocker 1/tcp\nknocker 7/udp\nknocker\t9/tcp  other alias # a remark\nodd\n")
    monkeypatch.setattr(services, "_SERVICES", file)
    for name, port in (("knocker", "9"), ("alias", "9"), ("remark", "remark"), ("odd", "odd")):
        found = numbered(made(f"-A INPUT -p tcp --dport {name} -j ACCEPT"))
        assert found == made(f"-A INPUT -p tcp --dport {port} -j ACCEPT")
    monkeypatch.setattr(services, "_SERVICES", tmp_path / "none")
    unknown = made("-A INPUT -p tcp --dport never-asked -j ACCEPT")
    assert numbered(unknown) == unknown


@pytest.mark.parametrize(
    "command",
    [
        "-A INPUT -p tcp --dport 22 -j ACCEPT",
        "-A INPUT -p udp --sport 1024:2048 -j ACCEPT",
        "-A INPUT -p tcp --dport no-such-service -j ACCEPT",
        "-A INPUT -p tcp -m multiport --dports ssh -j ACCEPT",
        "-A INPUT -p tcp --tcp-flags SYN,ACK SYN -j ACCEPT",
        "-A INPUT -m comment --comment ssh -j ACCEPT",
        "-D INPUT 3",
    ],
)
def test_all_else_stays_as_it_is(command: str) -> None:
    assert numbered(made(command)) == made(command)
