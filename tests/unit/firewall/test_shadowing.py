"""What hides a rule."""

from __future__ import annotations

import pytest
from hypothesis import given

from pyknockd.firewall.conditions import meaning_of
from pyknockd.firewall.rule import Family
from pyknockd.firewall.shadowing import Old, View, hidden_by, is_it, old, view, warning
from tests.support.rules import PACKETS, holds, meaning, rule, small_rules

HIDING = [
    ("-j DROP", "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"),
    ("-p tcp --dport 22 -j DROP", "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"),
    ("-p tcp -j REJECT", "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"),
    ("-j REJECT --reject-with icmp-host-prohibited", "-s 192.0.2.1 -j ACCEPT"),
    ("-p tcp --dport 20:30 -j DROP", "-p tcp --dport 22:25 -s 192.0.2.1 -j ACCEPT"),
    ("-s 192.0.2.0/24 -j DROP", "-s 192.0.2.1 -m conntrack --ctstate NEW -j ACCEPT"),
    ("-p tcp -m comment --comment 'all of it' -j DROP", "-s 192.0.2.1 -p tcp -j ACCEPT"),
    ("! -s 10.0.0.0/8 -j DROP", "-s 192.0.2.1 -j ACCEPT"),
    ("! -p udp -j DROP", "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"),
    ("-i eth+ -j DROP", "-i eth0 -s 192.0.2.1 -j ACCEPT"),
    ("-p tcp ! --dport 80 -j DROP", "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"),
    ("-p tcp --syn -j DROP", "-s 192.0.2.1 -p tcp --syn --dport 22 -j ACCEPT"),
    ("-g guarded", "-s 192.0.2.1 -j ACCEPT"),
    ("-j RETURN", "-s 192.0.2.1 -j ACCEPT"),
]


NOT_HIDING = [
    ("-j guarded", "-s 192.0.2.1 -j ACCEPT"),
    ("-j LOG", "-s 192.0.2.1 -j ACCEPT"),
    ("-s 192.0.2.1", "-s 192.0.2.1 -j ACCEPT"),
    ("-p tcp --dport 22 -m conntrack --ctstate INVALID -j DROP", "-p tcp --dport 22 -j ACCEPT"),
    ("-m limit --limit 3/minute -j DROP", "-s 192.0.2.1 -j ACCEPT"),
    ("-p tcp --dport 22 -j DROP", "-s 192.0.2.1 -j ACCEPT"),
    ("-p tcp --dport 22 -j DROP", "-s 192.0.2.1 -p udp --dport 22 -j ACCEPT"),
    ("-p tcp --sport 22 -j DROP", "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"),
    ("-p tcp --dport 22 -j DROP", "-s 192.0.2.1 -p tcp --dport 22:23 -j ACCEPT"),
    ("-p tcp --syn -j DROP", "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"),
    ("-s 192.0.2.1 -j DROP", "-s 192.0.2.0/24 -j ACCEPT"),
    ("! -s 192.0.2.0/24 -j DROP", "-s 192.0.2.1 -j ACCEPT"),
    ("! -s 192.0.2.1 -j DROP", "-s 192.0.2.0/24 -j ACCEPT"),
    ("-s 192.0.2.0/24 -j DROP", "! -s 192.0.2.1 -j ACCEPT"),
    ("-i eth0 -j DROP", "-i eth+ -s 192.0.2.1 -j ACCEPT"),
    ("-i eth0 -j DROP", "-s 192.0.2.1 -j ACCEPT"),
    ("-p tcp -m tcp --tcp-option 3 -j DROP", "-p tcp -s 192.0.2.1 -j ACCEPT"),
    ("! -p tcp -j DROP", "-p tcp -s 192.0.2.1 -j ACCEPT"),
    ("-s 192.0.2.1 -m multiport --dports 22 -p tcp -j DROP", "-s 192.0.2.1 -p tcp --dport 22"),
]


@pytest.mark.parametrize(("earlier", "new"), HIDING)
def test_a_rule_that_decides_the_same_packets_hides_a_later_one(earlier: str, new: str) -> None:
    others = [meaning("-i lo -j ACCEPT"), meaning(earlier), meaning("-j DROP")]
    assert hidden_by(meaning(new), others) == 1


@pytest.mark.parametrize(("earlier", "new"), NOT_HIDING)
def test_what_is_not_certain_hides_nothing(earlier: str, new: str) -> None:
    assert hidden_by(meaning(new), [meaning(earlier)]) is None


def test_the_warning_names_both_rules() -> None:
    new = rule("-A INPUT -s 192.0.2.1 -p tcp --dport 22 -j ACCEPT")
    assert new is not None
    chain = View([meaning("-p tcp --dport 22 -j DROP"), meaning_of(new, Family.IPV4)], True)
    assert warning(new, Family.IPV4, chain) == (
        "the rule -A INPUT -s 192.0.2.1 -p tcp -m tcp --dport 22 -j ACCEPT opens nothing:"
        " it stands behind -A INPUT -p tcp -m tcp --dport 22 -j DROP"
    )
    assert warning(new, Family.IPV4, View([], reachable=False)).endswith(
        "opens nothing: no rule leads to the chain INPUT"
    )
    first = rule("-I INPUT -s 192.0.2.1 -p tcp --dport 22 -j ACCEPT")
    assert first is not None
    assert warning(first, Family.IPV4, chain) == ""


SSH = "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"
OVERRULING = [
    *("-j DROP", "-s 192.0.2.1 -j DROP", "-p tcp --dport 20:30 -j REJECT", "-j guarded"),
    *("-g guarded", "-m limit --limit 3/minute -j DROP", "-i eth0 -p tcp -j DROP", "-j RETURN"),
    "-p tcp -m multiport --dports 22,80 -j guarded",
]
NOT_OVERRULING = [
    *("-j LOG", "-p tcp --dport 22", "-i lo -j ACCEPT", "-p udp -j DROP", "! -p tcp -j DROP"),
    *("-s 192.0.2.2 -j DROP", "! -s 192.0.2.0/24 -j DROP", "-p tcp ! --dport 22 -j DROP"),
    *("-p tcp --dport 23:80 -j guarded", "-p tcp -m conntrack --ctstate NEW -j ACCEPT"),
]


def old_of(words: str, rules: list[str]) -> Old:
    found = rule(words)
    assert found is not None
    own = meaning_of(found, Family.IPV4)
    return old(found, own, view((meaning(line) for line in rules), True, is_it(own)))


def buried(words: str, rules: list[str]) -> str:
    return old_of(f"-{words}", rules).buried_by


@pytest.mark.parametrize("other", OVERRULING)
def test_a_rule_is_buried_by_what_may_decide_otherwise_before_it(other: str) -> None:
    assert buried(f"I INPUT {SSH}", [other, SSH])
    assert not buried(f"I INPUT {SSH}", [SSH, other])
    assert not buried(f"A INPUT {SSH}", [other, SSH])


@pytest.mark.parametrize("other", NOT_OVERRULING)
def test_a_rule_is_not_buried_by_what_speaks_of_others(other: str) -> None:
    assert not buried(f"I INPUT {SSH}", [other, SSH])


def test_a_rule_is_buried_only_where_inserting_it_anew_would_help() -> None:
    assert not buried(f"I INPUT 2 {SSH}", ["-j DROP", SSH])
    assert buried(f"I INPUT 2 {SSH}", ["-j LOG", "-j DROP", SSH]) == "-A INPUT -j DROP"


def test_an_old_rule_is_hidden_by_what_stands_before_it_and_not_by_what_follows() -> None:
    appended = f"-A INPUT {SSH}"
    assert "stands behind -A INPUT -j DROP" in old_of(appended, ["-j DROP", SSH]).warning
    assert old_of(appended, [SSH, "-j DROP"]).warning == ""
    assert old_of(appended, ["-j ACCEPT", SSH]).warning == ""


def test_of_a_rule_that_cannot_be_told_from_others_nothing_is_said() -> None:
    appended = "-A INPUT -s 192.0.2.1 -m limit --limit 3/minute -j ACCEPT"
    assert old_of(appended, ["-j DROP", "-s 192.0.2.1 -p tcp -j ACCEPT"]).warning == ""


@given(small_rules(), small_rules())
def test_whatever_decides_a_packet_otherwise_buries_a_rule(earlier: str, later: str) -> None:
    accepting, dropping = (text.rpartition(" ")[0] for text in (later, earlier))
    if not buried(f"I INPUT {accepting} ACCEPT", [f"{dropping} DROP", f"{accepting} ACCEPT"]):
        assert not any(holds(earlier, *packet) and holds(later, *packet) for packet in PACKETS)


@given(small_rules(), small_rules())
def test_no_packet_gets_past_a_rule_that_is_said_to_hide(earlier: str, new: str) -> None:
    if hidden_by(meaning(new), [meaning(earlier)]) is not None:
        for packet in PACKETS:
            assert not holds(new, *packet) or holds(earlier, *packet)
