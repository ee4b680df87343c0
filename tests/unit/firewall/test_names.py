"""Names of programs."""

from __future__ import annotations

import pytest

from pyknockd.firewall.names import family, for_other_family, is_for_ipv6, is_iptables
from pyknockd.firewall.rule import Family


@pytest.mark.parametrize("name", ["iptables", "/usr/sbin/ip6tables-nft", "iptables-legacy"])
def test_a_command_is_known_by_its_programs_name(name: str) -> None:
    assert is_iptables([name, "-F"])


@pytest.mark.parametrize(
    "words", [[], ["iptables-save"], ["nft"], ["sudo", "iptables", "-F"], [""]]
)
def test_no_other_command_is_taken_for_iptables(words: list[str]) -> None:
    assert not is_iptables(words)


def test_the_family_stands_in_the_name() -> None:
    assert family("/sbin/iptables-nft") is Family.IPV4
    assert family("ip6tables") is Family.IPV6


def test_a_command_for_the_other_family_has_the_other_program() -> None:
    assert for_other_family("/sbin/iptables -A INPUT") == "/sbin/ip6tables -A INPUT"
    assert for_other_family("ip6tables-legacy -A ip") == "iptables-legacy -A ip"
    assert [is_for_ipv6([name]) for name in ("iptables", "ip6tables", "nft")] == [False, True, None]
