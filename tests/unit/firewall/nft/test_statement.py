"""Rules in nft's language: only the forms that are certain, in the order that iptables has."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given

from pyknockd.firewall.nft.statement import Form, form
from pyknockd.firewall.rule import Family
from tests.support.rules import meaning, rule, small_rules


def formed(words: str, family: Family = Family.IPV4) -> Form | None:
    found = rule(f"-A FORWARD {words}")
    assert found is not None
    return form(found, family)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("-s 192.0.2.1 -j ACCEPT", "ip saddr 192.0.2.1 counter accept"),
        (
            "-j ACCEPT -p tcp --dport 22 -s 192.0.2.1",
            "meta l4proto 6 ip saddr 192.0.2.1 tcp dport 22 counter accept",
        ),
        (
            "! -s 192.0.2.77/20 -p udp ! --sport 1024:2048 -j DROP",
            "meta l4proto 17 ip saddr != 192.0.0.0/20 udp sport != 1024-2048 counter drop",
        ),
        ("-i eth+ ! -o lo -j RETURN", 'iifname "eth*" oifname != "lo" counter return'),
        ("-p tcp --syn", "meta l4proto 6 tcp flags & 0x17 == 0x2 counter"),
        ("-p tcp ! --syn", "meta l4proto 6 tcp flags & 0x17 != 0x2 counter"),
        ("-j guarded", "counter jump guarded"),
        ("-g guarded", "counter goto guarded"),
    ],
)
def test_a_rule_has_its_form(words: str, text: str) -> None:
    found = formed(words)
    assert found is not None
    assert found.text.split() == text.split()


def test_ipv6_has_a_word_of_its_own() -> None:
    found = formed("-s 2001:db8::1/35 -p tcp --dport 22 -j ACCEPT", Family.IPV6)
    assert found is not None
    assert found.text == "meta l4proto 6 ip6 saddr 2001:db8::/35 tcp dport 22 counter accept"


@pytest.mark.parametrize(
    "words",
    [
        "-s 192.0.2.1 -j REJECT",
        "-s 192.0.2.1 -j LOG",
        "-s 192.0.2.1 -m conntrack --ctstate NEW -j ACCEPT",
        "-s 192.0.2.1 -m comment --comment mine -j ACCEPT",
        "-s 192.0.2.1,192.0.2.2 -j ACCEPT",
        "-s localhost -j ACCEPT",
        "-p tcp --dport ssh -j ACCEPT",
        "-p tcp ! --sport 7 ! --dport 22 -j ACCEPT",
        "-p tcp ! --dport 0:1023 -j ACCEPT",
        "-s 192.0.2.1 -j a.chain",
        f"-s 192.0.2.1 -j {'x' * 29}",
    ],
)
def test_what_is_not_certain_has_none(words: str) -> None:
    assert formed(words) is None


@pytest.mark.parametrize(
    ("words", "needle"),
    [
        ("-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT", ip_address("192.0.2.1").packed),
        ("-s 192.0.2.0/20 -p tcp --dport 22 -j ACCEPT", bytes((192, 0))),
        ("-s 128.0.0.0/1 -p tcp --dport 22 -j ACCEPT", b""),
        ("-p tcp --dport 22 -j ACCEPT", b""),
        ("-p tcp -j ACCEPT", b""),
    ],
)
def test_a_form_has_bytes_to_look_for(words: str, needle: bytes) -> None:
    found = formed(words)
    assert found is not None
    assert found.needle == needle


@given(small_rules())
def test_a_form_means_what_the_rule_means(words: str) -> None:
    found, said = formed(words), meaning(words)
    assert found is None or found.meaning == said
    from_zero = any(
        c.what == "dport" and c.negated and c.ports()[0] == 0 < c.ports()[1]
        for c in said.conditions
    )
    assert (found is None) is (not said.exact or from_zero)
