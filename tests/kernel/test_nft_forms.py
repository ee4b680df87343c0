"""Each release of iptables writes its rules in forms of its own: every one is known, or left to it.

The rules here are written by the iptables and the libnftables of the host. tests/booted runs these
tests on each release of Debian.
"""

from __future__ import annotations

import random
import shlex
import shutil
import subprocess

import pytest

from pyknockd.firewall import Applied, Firewall, Outcome
from pyknockd.firewall.nft.chain import Entry
from pyknockd.firewall.nft.expressions import read
from pyknockd.firewall.nft.netlink import Reader
from pyknockd.firewall.program import find
from pyknockd.firewall.rule import Family
from pyknockd.system.netns import Namespace
from pyknockd.system.process import CommandError
from tests.support.iptables_rules import (
    CHAIN,
    MISREAD,
    PROGRAMS,
    SAMPLE,
    SOURCES,
    formed,
    other_rules,
    plain_rules,
    unequal,
)
from tests.support.lab import Lab

NUMBERS = {Family.IPV4: 2, Family.IPV6: 10}  # NFPROTO_*
FAMILIES = pytest.mark.parametrize("family", list(Family), ids=["IPv4", "IPv6"])

# --- tables -------------------------------------------------------------------------------------


class Host:
    """Empty nf_tables tables, iptables' way into them, and ours."""

    def __init__(self, namespace: Namespace, family: Family) -> None:
        self.namespace = namespace
        self.family = family
        self.program = PROGRAMS[family]
        self.firewall = Firewall()
        self.iptables("-N guarded")
        self.iptables(f"-A {CHAIN} -j ACCEPT")
        self.iptables(f"-F {CHAIN}")

    def iptables(self, words: str) -> str:
        return self.namespace.run(self.program, *shlex.split(words))

    def has(self, words: str) -> bool:
        """Whether iptables finds the rule."""
        return self._took(f"-C {CHAIN} {words}")

    def write(self, rules: list[str]) -> list[str]:
        """Have iptables add all of them; those that it takes, in their order."""
        return [words for words in rules if self._took(f"-A {CHAIN} {words}")]

    def restore(self, rules: list[str]) -> list[str]:
        """Have iptables-restore add all of them."""
        text = "".join(f"-A {CHAIN} {words}\n" for words in rules)
        words = [*self.namespace.prefix, f"{self.program}-restore", "--noflush"]
        subprocess.run(words, input=f"*filter\n{text}COMMIT\n", text=True, check=True)
        return rules

    def _took(self, command: str) -> bool:
        try:
            self.iptables(command)
        except CommandError:
            return False
        return True

    def nft(self, statement: str) -> None:
        """Have nft add a rule of its own."""
        table = "ip" if self.family is Family.IPV4 else "ip6"
        self.namespace.run("nft", "add", "rule", table, "filter", CHAIN, statement)

    def apply(self, command: str) -> Applied:
        with self.namespace.inside():
            return self.firewall.apply([self.program, *shlex.split(command)])

    def check(self, command: str) -> list[str]:
        with self.namespace.inside():
            return self.firewall.check([f"{self.program} {command}"])

    def rules(self) -> list[str]:
        """What iptables shows."""
        lines = self.iptables(f"-S {CHAIN}").splitlines()
        return [line.removeprefix(f"-A {CHAIN}").strip() for line in lines if line[:2] == "-A"]

    def entries(self) -> list[Entry]:
        """What the kernel holds."""
        with self.namespace.inside():
            reader = Reader()
        try:
            return reader.rules(NUMBERS[self.family], "filter", CHAIN).entries()
        finally:
            reader.close()


@pytest.fixture
def ours(hosts: Lab, family: Family) -> Host:
    pytest.importorskip("nftables", reason="needs python3-nftables")
    return Host(hosts.server, family)


@pytest.fixture
def theirs(hosts: Lab, family: Family) -> Host:
    return Host(hosts.client, family)


# --- what iptables writes -----------------------------------------------------------------------


@pytest.mark.parametrize("program", list(PROGRAMS.values()))
def test_the_forms_of_this_iptables_are_known(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")
    assert find(program).why_not == ""


@FAMILIES
def test_what_iptables_writes_is_read_as_what_was_meant(ours: Host, family: Family) -> None:
    rules = ours.write(plain_rules(family))
    assert len(rules) > SAMPLE
    different = []
    for words, entry in zip(rules, ours.entries(), strict=True):
        meant, found = formed(words, family), read(entry.expressions, family)
        if meant is None:
            assert not found.exact, words
        elif found != meant.meaning or meant.needle not in entry.expressions:
            different.append(f"{words}: {found}, not {meant.meaning}")
    assert not different, f"{len(different)} of {len(rules)}:\n" + "\n".join(different)


@FAMILIES
def test_what_iptables_writes_is_found_and_no_second_made(ours: Host, family: Family) -> None:
    rules = ours.restore(unequal(plain_rules(family), family))
    before = ours.rules()
    again = {words: ours.apply(f"-A {CHAIN} {words}") for words in rules}
    missed = [words for words, said in again.items() if not said.already]
    assert not missed, f"{len(missed)} of {len(rules)}:\n" + "\n".join(missed)
    assert ours.rules() == before


@FAMILIES
def test_what_iptables_writes_is_deleted_in_process(ours: Host, family: Family) -> None:
    rules = ours.restore(unequal(plain_rules(family), family))
    random.Random(1).shuffle(rules)
    left = [w for w in rules if ours.apply(f"-D {CHAIN} {w}").outcome is not Outcome.DONE]
    assert not left, f"{len(left)} of {len(rules)}:\n" + "\n".join(left)
    assert ours.rules() == []


@FAMILIES
def test_what_iptables_alone_can_write_is_left_to_it_and_taken_for_nothing_else(
    ours: Host, family: Family
) -> None:
    rules = ours.write([*other_rules(family), *MISREAD])
    before = ours.rules()
    for words in rules:
        for operation in ("-A", "-I", "-D"):
            applied = ours.apply(f"{operation} {CHAIN} {words}")
            assert applied.outcome is Outcome.RUN_THE_PROGRAM, (operation, words)
    # The same rules without what is iptables' own are not there.
    for words in ("-j ACCEPT", f"{SOURCES[family][1]} -j ACCEPT", "-p tcp -j ACCEPT"):
        assert not ours.has(words)
        applied = ours.apply(f"-D {CHAIN} {words}")
        assert applied.outcome is Outcome.RUN_THE_PROGRAM, words
    assert ours.rules() == before


@FAMILIES
def test_a_port_within_a_match_is_not_taken_for_absent(ours: Host, family: Family) -> None:
    """Iptables before 1.8.9 writes all ports so, in bytes of another order."""
    ours.iptables(f"-A {CHAIN} -p tcp --tcp-option 2 --dport 22:25 -j ACCEPT")
    applied = ours.apply(f"-A {CHAIN} -p tcp --dport 22:25 -j ACCEPT")
    assert applied.outcome is Outcome.RUN_THE_PROGRAM


@FAMILIES
def test_a_rule_is_said_to_be_there_when_iptables_says_so(ours: Host, family: Family) -> None:
    rules = plain_rules(family)
    random.Random(2).shuffle(rules)
    written, asked = rules[:60], [*rules[40:140], *MISREAD]
    ours.write([*written, *other_rules(family), *MISREAD])
    for words in asked:
        there = ours.has(words)
        applied = ours.apply(f"-A {CHAIN} {words}")
        if applied.outcome is Outcome.DONE:
            assert applied.already is there, words
            if not there:
                ours.iptables(f"-D {CHAIN} {words}")


# --- what we write ------------------------------------------------------------------------------


@FAMILIES
def test_what_is_written_in_process_is_to_iptables_what_it_would_have_written(
    ours: Host, theirs: Host, family: Family
) -> None:
    rules = unequal(plain_rules(family), family)
    for words in rules:
        applied = ours.apply(f"-A {CHAIN} {words}")
        assert applied.outcome is Outcome.DONE and not applied.already, words
    theirs.restore(rules)
    assert ours.rules() == theirs.rules()
    missed = [words for words in rules if not ours.has(words)]
    assert not missed, f"{len(missed)} of {len(rules)}:\n" + "\n".join(missed)
    for words in rules[::10]:
        ours.iptables(f"-D {CHAIN} {words}")
        theirs.iptables(f"-D {CHAIN} {words}")
    assert ours.rules() == theirs.rules()


@FAMILIES
def test_rules_that_mean_the_same_are_the_same_to_iptables(ours: Host, family: Family) -> None:
    rules = plain_rules(family)
    first = unequal(rules, family)
    ours.restore(first)
    others = [words for words in rules if words not in first and formed(words, family)]
    assert others
    missed = [words for words in others if not ours.has(words)]
    assert not missed, missed


# --- what nft writes ----------------------------------------------------------------------------

SOURCE = {Family.IPV4: "ip saddr 192.0.2.1", Family.IPV6: "ip6 saddr 2001:db8::1"}
# A statement, and rules of which iptables takes it for one, or might.
NFT = [
    ("{source} accept", "{words}"),
    ('{source} counter accept comment "mine"', "{words}"),
    ("{source} ct state new accept", "{words}"),
    ("{source} limit rate 3/minute accept", "{words}"),
    ("{source} meta mark 1 accept", "{words}"),
    ("{source} tcp dport { 22, 23 } accept", "{words}"),
    ("iif lo {source} accept", "-i lo {words}"),
    ("iif lo {source} accept", "{words}"),
    ("meta l4proto tcp {source} accept", "-p tcp {words}"),
    ("{source} tcp dport 22 accept", "-p tcp --dport 22 {words}"),
    ("{source} tcp dport 22 tcp dport 23 accept", "-p tcp --dport 23 {words}"),
    ("{source} tcp dport 22 tcp dport 23 accept", "-p tcp --dport 22 {words}"),
    ("{source} tcp dport >= 22 accept", "-p tcp --dport 22:65535 {words}"),
    ("{source} tcp dport >= 22 accept", "-p tcp {words}"),
    ("{source} tcp dport > 22 accept", "-p tcp --dport 23:65535 {words}"),
    ("{source} tcp dport <= 22 accept", "-p tcp --dport 0:22 {words}"),
    ("{source} tcp dport < 22 accept", "-p tcp --dport 0:21 {words}"),
    ("{source} tcp dport < 22 accept", "-p tcp {words}"),
    ("{source} tcp dport 22-25 accept", "-p tcp --dport 22:25 {words}"),
    ("{source} tcp dport 0-25 accept", "-p tcp --dport 0:25 {words}"),
    ("{source} tcp dport != 0-25 accept", "-p tcp ! --dport 0:25 {words}"),
    ("{source} tcp dport != 0-25 accept", "-p tcp --dport 26:65535 {words}"),
    ("{source} tcp flags syn accept", "-p tcp ! --tcp-flags SYN NONE {words}"),
    ("{source} tcp flags & (syn|ack) == syn accept", "-p tcp --tcp-flags SYN,ACK SYN {words}"),
    ("{source} udp sport 53 udp dport 53 accept", "-p udp --sport 53 --dport 53 {words}"),
]
NFT_OF = {
    Family.IPV4: [
        ("ip protocol tcp {source} accept", "-p tcp {words}"),
        ("ip protocol != tcp {source} accept", "! -p tcp {words}"),
        ("ip protocol { tcp, udp } {source} accept", "-p tcp {words}"),
        ("ip saddr 192.0.2.0-192.0.2.1 accept", "-s 192.0.2.0 -j ACCEPT"),
        ("ip saddr 192.0.2.0-192.0.2.1 accept", "{words}"),
        ("ip saddr 192.0.2.0/31 accept", "-s 192.0.2.0/31 -j ACCEPT"),
        ("ip saddr { 192.0.2.1, 192.0.2.2 } accept", "{words}"),
        ("ip ttl 5 {source} accept", "{words}"),
        ("icmp type echo-request {source} accept", "-p icmp {words}"),
        ("ip daddr 10.0.0.1 {source} accept", "-d 10.0.0.1 {words}"),
    ],
    Family.IPV6: [
        ("ip6 nexthdr tcp {source} accept", "-p tcp {words}"),
        ("ip6 nexthdr tcp {source} accept", "{words}"),
        ("ip6 hoplimit 5 {source} accept", "{words}"),
        ("ip6 saddr { 2001:db8::1, 2001:db8::2 } accept", "{words}"),
        ("icmpv6 type echo-request {source} accept", "-p ipv6-icmp {words}"),
        ("ip6 daddr ::1 {source} accept", "-d ::1 {words}"),
    ],
}


@FAMILIES
def test_of_rules_by_nft_those_are_taken_for_iptables_that_it_takes_for_its_own(
    ours: Host, family: Family
) -> None:
    for statement, wanted in [*NFT, *NFT_OF[family]]:
        words = wanted.replace("{words}", f"{SOURCES[family][1]} -j ACCEPT")
        ours.nft(statement.replace("{source}", SOURCE[family]))
        there = ours.has(words)
        applied = ours.apply(f"-A {CHAIN} {words}")
        if applied.outcome is Outcome.DONE:
            assert applied.already is there, (statement, words)
        ours.iptables(f"-F {CHAIN}")


# --- what hides a rule --------------------------------------------------------------------------

HIDING = [
    ("-j DROP", "-p tcp --dport 22 -j ACCEPT"),
    ("-p tcp -j DROP", "-p tcp --dport 22 -j ACCEPT"),
    ("-p tcp --dport 22 -j DROP", "-p tcp --dport 22 -j ACCEPT"),
    ("-p tcp --dport 22 -j REJECT", "-p tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT"),
    ("-p udp --dport 1000:2000 -j DROP", "-p udp --dport 1194 -j ACCEPT"),
    ("-p tcp --dport 0:1023 -j DROP", "-p tcp --dport 22 -j ACCEPT"),
    ("-p tcp ! --dport 0:1023 -j DROP", "-p tcp --dport 2222 -j ACCEPT"),
    ("-p tcp ! --dport 443 -j DROP", "-p tcp --dport 22 -j ACCEPT"),
    ("! -p udp -j DROP", "-p tcp --dport 22 -j ACCEPT"),
    ("-p tcp -m comment --comment 'no more' -j DROP", "-p tcp --dport 22 -j ACCEPT"),
    ("-p tcp --syn -j DROP", "-p tcp --syn --dport 22 -j ACCEPT"),
    ("-i eth+ -p tcp -j DROP", "-i eth0 -p tcp --dport 22 -j ACCEPT"),
    ("! -i lo -p tcp -j DROP", "-i eth0 -p tcp --dport 22 -j ACCEPT"),
    ("-p udp -g guarded", "-p udp --dport 1194 -j ACCEPT"),
]
NOT_HIDING = [
    ("-p udp -j DROP", "-p tcp --dport 22 -j ACCEPT"),
    ("-p tcp --dport 0:21 -j DROP", "-p tcp --dport 22 -j ACCEPT"),
    ("-p tcp ! --dport 0:1023 -j DROP", "-p tcp --dport 22 -j ACCEPT"),
    ("-p tcp -m conntrack --ctstate INVALID -j DROP", "-p tcp --dport 22 -j ACCEPT"),
    ("-p tcp -m multiport --dports 22,80 -j LOG", "-p tcp --dport 22 -j ACCEPT"),
    ("-p tcp -m multiport --dports 22,80 -j DROP", "-p tcp --dport 22 -j ACCEPT"),
    ("-m mark --mark 1 -j DROP", "-p tcp --dport 22 -j ACCEPT"),
    ("-i eth0 -p tcp -j DROP", "-p tcp --dport 22 -j ACCEPT"),
    ("-p tcp -j guarded", "-p tcp --dport 22 -j ACCEPT"),
]


@FAMILIES
def test_a_rule_that_stands_behind_another_is_told_and_no_other(ours: Host, family: Family) -> None:
    source = f"-A {CHAIN} -s %IP%"
    for earlier, words in [*HIDING, *NOT_HIDING]:
        ours.iptables(f"-A {CHAIN} {earlier}")
        told = (earlier, words) in HIDING
        found = ours.check(f"{source} {words}")
        assert bool(found) is told, (earlier, words)
        assert all(f"opens nothing: it stands behind -A {CHAIN} " in line for line in found)
        applied = ours.apply(f"-A {CHAIN} {SOURCES[family][1]} {words}")
        assert bool(applied.warning) is told, (earlier, words)
        ours.iptables(f"-F {CHAIN}")
