"""What a rule matches."""

from __future__ import annotations

import pytest
from hypothesis import given

from pyknockd.firewall.conditions import Condition, meaning_of, rule_of
from pyknockd.firewall.rule import Family
from tests.support.rules import meaning, rule, small_rules


@given(small_rules())
def test_a_meaning_is_written_as_a_rule_of_that_meaning(command: str) -> None:
    said = meaning(command)
    if said.complete:
        again = meaning_of(rule_of(said, "filter", "INPUT"), Family.IPV4)
        assert again == said


def test_conditions_hold_what_stands_in_packets() -> None:
    said = meaning("-s 192.0.2.0/24 -i eth+ -p tcp --syn ! --dport 22:25 -j ACCEPT")
    assert said.conditions == {
        Condition("saddr", False, bytes((192, 0, 2, 0)), b"\xff\xff\xff\0"),
        Condition("iif", False, b"eth", b"+"),
        Condition("protocol", False, b"\x06"),
        Condition("flags", False, b"\x02", b"\x17"),
        Condition("dport", True, b"\0\x16", b"\0\x19"),
    }
    assert said.exact


@pytest.mark.parametrize("words", ["-s 0.0.0.0/0 -j DROP", "-p all -j DROP", "-p 0 -j DROP"])
def test_what_holds_for_every_packet_is_no_condition(words: str) -> None:
    assert meaning(words) == meaning("-j DROP")


@pytest.mark.parametrize(
    "words",
    [
        "-s localhost -j DROP",
        "! -s 0.0.0.0/0 -j DROP",
        "-s 2001:db8::1 -j DROP",
        "-p gre -j DROP",
        "-i + -j DROP",
        "-m state --state NEW -j DROP",
        "-p tcp -m tcp -j DROP",
        "-p tcp --dport 0:65535 -j DROP",
        "-p tcp --dport 25:22 -j DROP",
        "-p tcp --dport 70000 -j DROP",
        "-p tcp --dport ssh -j DROP",
        "-p tcp --dport 22 --destination-port 23 -j DROP",
        "-p tcp --tcp-flags SYN ACK -j DROP",
        "-p tcp --tcp-flags NONE NONE -j DROP",
        "-p tcp --tcp-flags ECE ECE -j DROP",
        "-p tcp --tcp-option 3 -j DROP",
        "-p udp -m tcp --dport 22 -j DROP",
    ],
)
def test_what_cannot_be_told_makes_it_incomplete(words: str) -> None:
    assert not meaning(words).complete


@pytest.mark.parametrize(
    ("words", "verdict", "plain"),
    [
        ("-j ACCEPT", "ACCEPT", True),
        ("-j REJECT", "REJECT", False),
        ("-j LOG --log-uid", "LOG", False),
        ("-j guarded", "jump guarded", True),
        ("-g guarded", "goto guarded", True),
        ("-s 192.0.2.1", "", True),
        ("-m comment --comment mine -j ACCEPT", "ACCEPT", False),
    ],
)
def test_a_verdict_is_plain_or_there_is_more_to_say(words: str, verdict: str, plain: bool) -> None:
    said = meaning(words)
    assert (said.verdict, said.complete, said.exact) == (verdict, True, plain)


@pytest.mark.parametrize(
    "words",
    [
        "-A INPUT -s 192.0.2.0/24 ! -i eth+ -p tcp -m tcp --dport 22:25 -j ACCEPT",
        "-A INPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -g guarded",
        "-A INPUT -d 10.0.0.1 -p udp -m udp --sport 53 -j guarded",
        "-A INPUT ! -p icmp",
    ],
)
def test_a_complete_meaning_is_written_as_iptables_save_would(words: str) -> None:
    found = rule(words)
    assert found is not None
    assert rule_of(meaning_of(found, Family.IPV4), "filter", "INPUT") == found
