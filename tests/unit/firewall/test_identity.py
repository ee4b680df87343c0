"""Which commands speak of the same rule."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pyknockd.firewall.firewall import Firewall
from pyknockd.firewall.identity import Effect, RuleIdentity, effect_of
from pyknockd.firewall.rule import Family
from pyknockd.firewall.services import numbered
from tests.support.rules import rule

SSH = "-I INPUT -s 10.0.0.9 -p tcp --dport 22 -j ACCEPT"


def effect(command: str, kind: str = "legacy", family: Family = Family.IPV4) -> Effect | None:
    found = rule(command)
    assert found is not None, command
    return effect_of(numbered(found), kind, family)


def identity(
    command: str, kind: str = "legacy", family: Family = Family.IPV4
) -> RuleIdentity | None:
    found = effect(command, kind, family)
    return None if found is None else found.rule


@pytest.mark.parametrize(
    "command",
    [
        "-I INPUT -p tcp --dport 22 -s 10.0.0.9 -j ACCEPT",
        "-j ACCEPT -p tcp --dport 22 -s 10.0.0.9 -A INPUT",
        "-A INPUT -s 10.0.0.9 -p tcp --dport 22 -j ACCEPT",
        "-I INPUT 7 -s 10.0.0.9 -p tcp --dport 22 -j ACCEPT",
        "-D INPUT -s 10.0.0.9 -p tcp --dport 22 -j ACCEPT",
        "-t filter -I INPUT -s 10.0.0.9 -p tcp --dport 22 -j ACCEPT",
        "-w 5 -I INPUT -s 10.0.0.9 -p tcp --dport 22 -j ACCEPT",
        "--insert INPUT --source 10.0.0.9 --protocol tcp --destination-port 22 --jump ACCEPT",
        "-I INPUT -s 10.0.0.9/32 -p tcp --dport 22 -j ACCEPT",
        "-I INPUT -s 10.0.0.9/255.255.255.255 -p tcp --dport 22 -j ACCEPT",
        "-I INPUT -s 10.0.0.9 -d 0.0.0.0/0 -p tcp --dport 22 -j ACCEPT",
        "-I INPUT -s 10.0.0.9 -p tcp -m tcp --dport 22 -j ACCEPT",
        "-I INPUT -s 10.0.0.9 -p TCP --dport 22:22 -j ACCEPT",
    ],
)
def test_one_rule_has_many_spellings(command: str) -> None:
    assert identity(command) == identity(SSH)


def test_a_port_by_name_is_the_port() -> None:
    try:
        number = socket.getservbyname("ssh", "tcp")
    except OSError:
        pytest.skip("needs /etc/services: apt install netbase")
    by_name = identity("-I INPUT -s 10.0.0.9 -p tcp --dport ssh -j ACCEPT")
    assert by_name == identity(f"-I INPUT -s 10.0.0.9 -p tcp --dport {number} -j ACCEPT")


def test_host_bits_are_no_part_of_a_network() -> None:
    assert identity("-A INPUT -s 10.0.0.9/24 -j DROP") == identity(
        "-A INPUT -s 10.0.0.0/24 -j DROP"
    )


@pytest.mark.parametrize(
    "command",
    [
        "-I FORWARD -s 10.0.0.9 -p tcp --dport 22 -j ACCEPT",
        "-t mangle -I INPUT -s 10.0.0.9 -p tcp --dport 22 -j ACCEPT",
        "-I INPUT -s 10.0.0.8 -p tcp --dport 22 -j ACCEPT",
        "-I INPUT -s 10.0.0.9/31 -p tcp --dport 22 -j ACCEPT",
        "-I INPUT ! -s 10.0.0.9 -p tcp --dport 22 -j ACCEPT",
        "-I INPUT -d 10.0.0.9 -p tcp --dport 22 -j ACCEPT",
        "-I INPUT -p tcp --dport 22 -j ACCEPT",
        "-I INPUT -s 10.0.0.9 -p udp --dport 22 -j ACCEPT",
        "-I INPUT -s 10.0.0.9 -p tcp --dport 23 -j ACCEPT",
        "-I INPUT -s 10.0.0.9 -p tcp --dport 22:23 -j ACCEPT",
        "-I INPUT -s 10.0.0.9 -p tcp --sport 22 -j ACCEPT",
        "-I INPUT -s 10.0.0.9 -p tcp ! --dport 22 -j ACCEPT",
        "-I INPUT -s 10.0.0.9 -p tcp -j ACCEPT",
        "-I INPUT -s 10.0.0.9 -p tcp --dport 22 --syn -j ACCEPT",
        "-I INPUT -i eth0 -s 10.0.0.9 -p tcp --dport 22 -j ACCEPT",
        "-I INPUT -s 10.0.0.9 -p tcp --dport 22 -j DROP",
        "-I INPUT -s 10.0.0.9 -p tcp --dport 22 -j guests",
        "-I INPUT -s 10.0.0.9 -p tcp --dport 22 -g guests",
        "-I INPUT -s 10.0.0.9 -p tcp --dport 22",
        "-I INPUT -s 10.0.0.9 -p tcp --dport 22 -m comment --comment knockd -j ACCEPT",
        "-I INPUT -s 10.0.0.9 -p tcp -m multiport --dports 22 -j ACCEPT",
        "-I INPUT -s 10.0.0.9 -p tcp --dport 22 -m state --state NEW -j ACCEPT",
    ],
)
def test_what_says_anything_else_is_another_rule(command: str) -> None:
    assert identity(command) != identity(SSH)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("-m comment --comment a", "-m comment --comment b"),
        ("-m multiport --dports 22,80", "-m multiport --dports 22,81"),
        ("-m multiport --dports 22", "-m multiport --sports 22"),
        ("-m state --state NEW", "-m state ! --state NEW"),
    ],
)
def test_what_a_match_says_tells_rules_apart(one: str, other: str) -> None:
    """Also where the match is not understood."""
    base = "-A INPUT -s 10.0.0.9 -p tcp {} -j ACCEPT"
    assert identity(base.format(one)) == identity(base.format(one))
    assert identity(base.format(one)) != identity(base.format(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("-j REJECT --reject-with tcp-reset", "-j REJECT"),
        ("-j guests", "-g guests"),
        ("-j LOG --log-prefix a", "-j LOG --log-prefix b"),
    ],
)
def test_what_a_target_says_tells_rules_apart(one: str, other: str) -> None:
    base = "-A INPUT -s 10.0.0.9 -p tcp {}"
    assert identity(base.format(one)) != identity(base.format(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "-m limit --limit 1/s --limit-burst 5 -j ACCEPT",
            "-m limit --limit-burst 5 --limit 1/s -j ACCEPT",
        ),
        (
            "-m comment --comment a -m state --state NEW -j ACCEPT",
            "-m state --state NEW -m comment --comment a -j ACCEPT",
        ),
        (
            "-j LOG --log-prefix a --log-level 4",
            "-j LOG --log-level 4 --log-prefix a",
        ),
    ],
)
def test_the_order_of_what_is_not_understood_does_not_matter(one: str, other: str) -> None:
    base = "-A INPUT -s 10.0.0.9 -p tcp {}"
    assert identity(base.format(one)) == identity(base.format(other))


def test_the_same_words_mean_another_rule_in_other_tables() -> None:
    command = "-A INPUT -p tcp --dport 22 -j ACCEPT"
    found = {
        identity(command, kind, family)
        for kind in ("legacy", "nf_tables")
        for family in (Family.IPV4, Family.IPV6)
    }
    assert len(found) == 4


def test_a_command_makes_a_rule_or_takes_it_away() -> None:
    made, gone = effect(SSH), effect(SSH.replace("-I", "-D"))
    assert made is not None
    assert gone is not None
    assert made.rule == gone.rule
    assert made.makes
    assert not gone.makes


def test_a_rule_deleted_by_its_number_has_no_identity() -> None:
    assert effect("-D INPUT 3") is None


def installed(folder: Path) -> str:
    """A program called iptables, which leads to legacy's; it is never run."""
    folder.mkdir()
    behind = folder / "xtables-legacy-multi"
    behind.write_text("#!/bin/sh\nexit 1\n")
    behind.chmod(0o755)
    (folder / "iptables").symlink_to(behind)
    return str(folder / "iptables")


def test_another_path_of_the_program_means_the_same_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = installed(tmp_path / "one"), installed(tmp_path / "other")
    monkeypatch.setenv("PATH", str(tmp_path / "one"))
    firewall, arguments = Firewall(), SSH.split()
    effects = {firewall.effect([program, *arguments]) for program in (one, other, "iptables")}
    assert len(effects) == 1
    assert None not in effects
