"""The nf_tables tables, changed in process and by iptables: to everybody it is the same rule."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pyknockd.firewall import Firewall, Outcome
from pyknockd.firewall.iptables import parse
from pyknockd.firewall.nft import tables as nft_room
from pyknockd.firewall.nft.expressions import read
from pyknockd.firewall.nft.netlink import Reader
from pyknockd.firewall.nft.statement import form
from pyknockd.firewall.rule import Family
from pyknockd.firewall.services import numbered
from tests.support.lab import Lab

FOUR = [
    "-s 192.0.2.1 -j ACCEPT",
    "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT",
    "-s 192.0.2.1 -p tcp --dport ssh -j ACCEPT",
    "-s 192.0.2.1 -p udp --dport 1194 -j ACCEPT",
    "-s 192.0.2.77/8 -p tcp -m tcp ! --dport 22 -j DROP",
    "-s 192.0.2.77/20 -p tcp ! --dport 22:25 -j DROP",
    "! -s 192.0.2.0/24 ! -d 10.0.0.1 -p udp --sport 53 -j RETURN",
    "-s 192.0.2.1 -d 10.0.0.1 -p tcp --sport 7 --dport 22 -j ACCEPT",
    "-s 192.0.2.1 -p tcp --syn --dport 22 -j ACCEPT",
    "-s 192.0.2.1 -p tcp ! --syn --dport 22 -j ACCEPT",
    "-s 192.0.2.1 -p tcp --tcp-flags ALL NONE -j DROP",
    "-i eth+ -s 192.0.2.1 -p tcp --dport 22 -j ACCEPT",
    "-p tcp --dport 8001 -j ACCEPT",
    "-p icmp -s 192.0.2.1 -j guarded",
    "! -p tcp -s 192.0.2.1 -g guarded",
    "-s 192.0.2.1",
    "-p all -s 0.0.0.0/0 -j ACCEPT",
    "-s 192.0.2.1 -p tcp --dport 22:25 -j ACCEPT",
    "-s 192.0.2.1 -p udp --sport 1024:65535 -j ACCEPT",
    "-i eth0 -s 192.0.2.1 -p tcp --dport 22 -j ACCEPT",
    "! -i eth0 -j guarded",
]
SIX = [
    "-s 2001:db8::1 -p tcp --dport 22 -j ACCEPT",
    "-s 2001:db8::1/35 -d ::1 -p tcp --syn --dport 22 -j DROP",
    "! -s 2001:db8::/64 -p ipv6-icmp -j RETURN",
]
TO_THE_PROGRAM = [
    "-s 192.0.2.1 -m conntrack --ctstate NEW -j ACCEPT",
    "-s 192.0.2.1 -p tcp -m multiport --dports 22,23 -j ACCEPT",
    "-s 192.0.2.1 -m comment --comment word -j ACCEPT",
    "-s 192.0.2.1 -j REJECT",
    "-s 192.0.2.1 -j LOG",
    "-s 192.0.2.1 -p tcp -m tcp -j ACCEPT",
    "-s 192.0.2.1 -p tcp --sport 0:65535 -j ACCEPT",
    "-i + -j ACCEPT",
    "-s 192.0.2.1/0.0.0.255 -j ACCEPT",
    "-s 192.0.2.1 -j NOWHERE",
    "! -s 0.0.0.0/0 -j ACCEPT",
    "-s 192.0.2.1 -j drop",
]


class Tables:
    """A firewall of this process, on the server, and what iptables says of its tables."""

    def __init__(self, hosts: Lab) -> None:
        self.hosts = hosts
        self.firewall = Firewall()
        for program in ("iptables-nft", "ip6tables-nft"):
            self.iptables("-N guarded", program)
            self.iptables("-A FORWARD -j ACCEPT", program)
            self.iptables("-A INPUT -j DROP", program)
            self.iptables("-D INPUT 1", program)

    def apply(self, words: str, program: str = "iptables-nft") -> str:
        with self.hosts.server.inside():
            applied = self.firewall.apply([program, *words.split()])
        if applied.outcome is Outcome.DONE and applied.already:
            return "ALREADY"
        return applied.outcome.name

    def iptables(self, words: str, program: str = "iptables-nft") -> str:
        return self.hosts.server.run(program, *words.split())

    def rules(self, program: str = "iptables-nft") -> list[str]:
        lines = self.iptables("-S INPUT", program).splitlines()
        return [line for line in lines if line.startswith("-A")]

    def expressions(self, family: int) -> list[bytes]:
        with self.hosts.server.inside():
            reader = Reader()
        try:
            chain = reader.rules(family, "filter", "INPUT")
            return [entry.expressions for entry in chain.entries()]
        finally:
            reader.close()


@pytest.fixture
def tables(hosts: Lab) -> Tables:
    pytest.importorskip("nftables", reason="needs python3-nftables")
    return Tables(hosts)


@pytest.mark.parametrize("words", [*FOUR, *SIX])
def test_libnftables_and_iptables_make_the_same_rule(tables: Tables, words: str) -> None:
    program = "ip6tables-nft" if words in SIX else "iptables-nft"

    assert tables.apply(f"-A INPUT {words}", program) == "DONE"
    ours = tables.rules(program)
    tables.iptables(f"-C INPUT {words}", program)
    tables.iptables(f"-D INPUT {words}", program)
    assert tables.rules(program) == []

    tables.iptables(f"-A INPUT {words}", program)
    assert tables.rules(program) == ours
    assert tables.apply(f"-A INPUT {words}", program) == "ALREADY"
    assert tables.apply(f"-I INPUT 1 {words}", program) == "ALREADY"
    assert tables.apply(f"-D INPUT {words}", program) == "DONE"
    assert tables.rules(program) == []


@pytest.mark.parametrize("words", [*FOUR, *SIX])
def test_what_the_kernel_holds_is_read_as_what_was_meant(tables: Tables, words: str) -> None:
    program, number = ("ip6tables-nft", 10) if words in SIX else ("iptables-nft", 2)
    family = Family.IPV6 if words in SIX else Family.IPV4
    rule = parse(["-A", "INPUT", *words.split()])
    assert rule is not None
    meant = form(numbered(rule), family)
    assert meant is not None
    tables.iptables(f"-A INPUT {words}", program)
    [expressions] = tables.expressions(number)
    assert read(expressions, family) == meant.meaning
    assert meant.needle in expressions


@pytest.mark.parametrize("words", TO_THE_PROGRAM)
def test_what_is_not_certain_is_left_to_iptables(tables: Tables, words: str) -> None:
    assert tables.apply(f"-A INPUT {words}") == "RUN_THE_PROGRAM"
    assert tables.rules() == []


def test_a_rule_is_put_where_it_is_wanted(tables: Tables) -> None:
    for number in (1, 2, 3):
        tables.iptables(f"-A INPUT -s 192.0.2.{number} -j DROP")
    assert tables.apply("-I INPUT 3 -s 10.0.0.3 -j ACCEPT") == "DONE"
    assert tables.apply("-I INPUT -s 10.0.0.1 -j ACCEPT") == "DONE"
    assert tables.apply("-I INPUT 6 -s 10.0.0.6 -j ACCEPT") == "DONE"
    assert tables.apply("-I INPUT 8 -s 10.0.0.8 -j ACCEPT") == "RUN_THE_PROGRAM"
    assert tables.apply("-A INPUT -s 10.0.0.9 -j ACCEPT") == "DONE"
    found = [line.split()[3].removesuffix("/32") for line in tables.rules()]
    expected = "10.0.0.1 192.0.2.1 192.0.2.2 10.0.0.3 192.0.2.3 10.0.0.6 10.0.0.9"
    assert found == expected.split()
    assert tables.apply("-D INPUT 2") == "DONE"
    assert tables.apply("-D INPUT 7") == "RUN_THE_PROGRAM"
    assert "192.0.2.1" not in str(tables.rules())


def test_others_changes_are_seen(tables: Tables) -> None:
    rule = "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"
    assert tables.apply(f"-I INPUT {rule}") == "DONE"
    tables.iptables(f"-D INPUT {rule}")
    assert tables.apply(f"-D INPUT {rule}") == "RUN_THE_PROGRAM"
    assert tables.apply(f"-I INPUT {rule}") == "DONE"
    tables.iptables("-F INPUT")
    tables.iptables("-A INPUT -s 10.0.0.1 -j DROP")
    assert tables.apply(f"-I INPUT {rule}") == "DONE"
    assert tables.apply(f"-D INPUT {rule}") == "DONE"
    assert tables.rules() == ["-A INPUT -s 10.0.0.1/32 -j DROP"]


def test_a_table_that_was_made_anew_with_old_handles_is_read_anew(tables: Tables) -> None:
    rule = "-s 192.0.2.1 -p tcp --dport 22 -j ACCEPT"
    assert tables.apply(f"-A INPUT {rule}") == "DONE"
    tables.hosts.server.run("nft", "flush", "ruleset")
    for number in range(12):
        tables.iptables(f"-A INPUT -s 10.0.0.{number} -j DROP")
    assert tables.apply(f"-D INPUT {rule}") == "RUN_THE_PROGRAM"
    assert len(tables.rules()) == 12


def test_of_two_equal_rules_the_first_is_deleted_as_iptables_does(tables: Tables) -> None:
    for words in ("-s 192.0.2.1 -j ACCEPT", "-s 10.0.0.1 -j DROP", "-s 192.0.2.1 -j ACCEPT"):
        tables.iptables(f"-A INPUT {words}")
    assert tables.apply("-D INPUT -s 192.0.2.1 -j ACCEPT") == "DONE"
    assert [line.split()[3] for line in tables.rules()] == ["10.0.0.1/32", "192.0.2.1/32"]


@dataclass
class Meanwhile:
    """libnftables, and somebody else who changes something just before or after each change of ours."""

    library: Any
    before: Callable[[], object]
    after: Callable[[], object]

    def cmd(self, command: str) -> object:
        self.before()
        done = self.library.cmd(command)
        self.after()
        return done


@pytest.mark.parametrize("when", ["before", "after"])
def test_anothers_rule_that_comes_at_the_same_moment_stays(tables: Tables, when: str) -> None:
    numbers = itertools.count(1)

    def another() -> None:
        tables.iptables(f"-I INPUT -s 10.0.0.{next(numbers)} -j DROP")

    def nobody() -> None:
        pass

    with tables.hosts.server.inside():
        nft = tables.firewall._tables()
        nft.load()
    steps = (another, nobody) if when == "before" else (nobody, another)
    nft._library = Meanwhile(nft._library, *steps)
    for number in range(1, 6):
        assert tables.apply(f"-I INPUT -s 192.0.2.{number} -j ACCEPT") == "DONE"
        assert tables.apply(f"-I INPUT -s 192.0.2.{number} -j ACCEPT") == "ALREADY"
    for number in range(1, 4):
        assert tables.apply(f"-D INPUT -s 192.0.2.{number} -j ACCEPT") == "DONE"
    rules = str(tables.rules())
    assert [f"192.0.2.{n}/" in rules for n in range(1, 6)] == [False, False, False, True, True]
    assert [f"10.0.0.{n}/" in rules for n in range(1, 9)] == [True] * 8


def test_a_missing_table_is_left_to_iptables_which_makes_it(tables: Tables) -> None:
    tables.hosts.server.run("nft", "flush", "ruleset")
    assert tables.apply("-A INPUT -s 192.0.2.1 -j ACCEPT") == "RUN_THE_PROGRAM"
    assert tables.apply("-t nat -A PREROUTING -s 192.0.2.1 -j ACCEPT") == "RUN_THE_PROGRAM"
    assert tables.apply("-D INPUT -s 192.0.2.1 -j ACCEPT") == "RUN_THE_PROGRAM"
    assert tables.hosts.server.run("nft", "list", "ruleset") == ""
    tables.iptables("-A INPUT -s 192.0.2.1 -j ACCEPT")
    assert tables.apply("-A INPUT -s 192.0.2.2 -j ACCEPT") == "DONE"


def test_without_libnftables_the_program_is_run(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise nft_room.NftError("python3-nftables cannot be loaded")

    monkeypatch.setattr(nft_room, "_library", missing)
    words = ["iptables-nft", "-A", "INPUT", "-s", "192.0.2.1", "-j", "ACCEPT"]
    tables.iptables("-A INPUT -j DROP")
    with tables.hosts.server.inside():
        applied = tables.firewall.apply(words)
    assert applied.outcome is Outcome.RUN_THE_PROGRAM
    assert applied.reason == "python3-nftables cannot be loaded"
    assert applied.check == ("iptables-nft", "-C", *words[2:])
    assert applied.warning.endswith("stands behind -A INPUT -j DROP")


class Misunderstanding:
    """A libnftables that reads another port than was written."""

    def __init__(self) -> None:
        import nftables

        self._real = nftables.Nftables()

    def cmd(self, command: str) -> object:
        return self._real.cmd(command.replace("dport 22 ", "dport 23 "))


def test_what_libnftables_made_otherwise_than_meant_is_undone_and_the_program_run(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nft_room, "_library", Misunderstanding)
    for place in ("-A INPUT", "-I INPUT", "-I INPUT 2"):
        tables.iptables("-A INPUT -j DROP")
        before = tables.rules()
        assert tables.apply(f"{place} -s 192.0.2.1 -p tcp --dport 22 -j ACCEPT") == (
            "RUN_THE_PROGRAM"
        )
        assert tables.rules() == before
    assert tables.apply("-I INPUT 2 -s 192.0.2.1 -j ACCEPT") == "DONE"
    assert tables.rules()[1] == "-A INPUT -s 192.0.2.1/32 -j ACCEPT"


def test_an_iptables_that_is_not_known_to_be_alike_is_run(tables: Tables, tmp_path: Path) -> None:
    old = tmp_path / "xtables-nft-multi"
    old.write_text("#!/bin/sh\necho 'iptables v1.8.7 (nf_tables)'\n")
    old.chmod(0o755)
    name = tmp_path / "iptables"
    name.symlink_to(old)
    assert tables.apply("-A INPUT -s 192.0.2.1 -j ACCEPT", str(name)) == "RUN_THE_PROGRAM"


def test_opening_and_closing_as_fast_as_it_goes_leaves_nothing(tables: Tables) -> None:
    for number in range(2000):
        rule = f"-s 10.{number // 250}.{number % 250}.1 -p tcp --dport 22 -j ACCEPT"
        assert tables.apply(f"-I INPUT {rule}") == "DONE"
        assert tables.apply(f"-D INPUT {rule}") == "DONE"
    assert tables.rules() == []


def test_many_open_doors_are_all_closed(tables: Tables) -> None:
    rules = [f"-s 10.{n // 250}.{n % 250}.1 -p tcp --dport 22 -j ACCEPT" for n in range(1000)]
    for rule in rules:
        assert tables.apply(f"-A INPUT {rule}") == "DONE"
    assert len(tables.rules()) == 1000
    for rule in rules:
        assert tables.apply(f"-D INPUT {rule}") == "DONE"
    assert tables.rules() == []


def test_no_descriptor_and_no_memory_is_lost(
    tables: Tables, capsys: pytest.CaptureFixture[str]
) -> None:
    count = int(os.environ.get("PYKNOCKD_OPENINGS", "2000"))
    rule = "-s 10.0.{}.{} -p tcp --dport 22 -j ACCEPT"

    def open_and_close(times: int) -> tuple[int, int]:
        for number in range(times):
            words = rule.format(number // 250 % 250, number % 250)
            assert tables.apply(f"-I INPUT {words}") == "DONE"
            assert tables.apply(f"-D INPUT {words}") == "DONE"
        return len(os.listdir("/proc/self/fd")), _resident()

    before = open_and_close(500)
    after = open_and_close(count)
    with capsys.disabled():
        print(
            f"\nnf_tables, {count} openings: {after[1] - before[1]} kB, descriptors: {after[0] - before[0]}"
        )
    assert after[0] == before[0]
    assert after[1] - before[1] < 2048


def _resident() -> int:
    """In kB."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0])
