"""What comes of a command is what its program itself makes of it: for both kinds of tables.

Two servers run the same commands, one through ``Firewall``, one by the programs, and their tables
are compared through iptables-save after every one. ``PYKNOCKD_CONFIGS`` names a directory of
published configs; of their commands only plain iptables ones are run, and only on those servers.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyknockd.firewall import Firewall
from pyknockd.firewall.nft.netlink import Reader
from pyknockd.model import expand
from pyknockd.system.shell import split
from tests.support.lab import ROOT, Lab, until

CHAINS = ("guarded", "open", "TCP")
KINDS = ("nft", "legacy")
BATCH = 12  # commands between two times that the tables are emptied


@dataclass
class Answer:
    """``rules``: iptables-save of the program's family, without counters and comments."""

    how: str
    status: int
    warning: str
    rules: list[str]


class Server:
    """A host of its own, and a process on it that runs commands."""

    def __init__(self, hosts: Lab, kind: str, *, through_firewall: bool) -> None:
        self.host = hosts.server if through_firewall else hosts.client
        self.kind = kind
        mode = "ours" if through_firewall else "theirs"
        self._process = subprocess.Popen(
            [*self.host.prefix, sys.executable, "-m", "tests.support.firewall_server", mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def run(self, words: list[str], *, save: bool = True) -> Answer:
        """Run ``words`` once nobody holds the lock, which all namespaces share."""
        answer = until(lambda: self._run_once(words, save), "the lock is free")
        assert answer is not None
        return answer

    def _run_once(self, words: list[str], save: bool) -> Answer | None:
        saves = [[f"{words[0]}-save"]] if save else []
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([words, saves]) + "\n")
        self._process.stdin.flush()
        how, status, warning, text = json.loads(self._process.stdout.readline())
        lines = re.sub(r" ?\[\d+:\d+\]", "", text).splitlines()
        rules = [line for line in lines if not line.startswith("#")]
        if how == "BUSY" or (self.kind == "legacy" and status == 4):
            return None
        return Answer(how, status, warning, rules)

    def empty(self) -> None:
        """The chains of ``CHAINS`` and two rules in INPUT and guarded, nothing else."""
        for name in ("iptables", "ip6tables"):
            restore = f"{name}-{self.kind}-restore"
            builtin = ":INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n"
            own = "".join(f":{chain} -\n" for chain in CHAINS)
            rules = "-A INPUT -i lo -j ACCEPT\n-A INPUT -j guarded\n-A guarded -i lo -j RETURN\n"
            nat = "*nat\n:PREROUTING ACCEPT\n:POSTROUTING ACCEPT\nCOMMIT\n"
            others = "".join(f"*{t}\n:PREROUTING ACCEPT\nCOMMIT\n" for t in ("mangle", "raw"))
            text = f"*filter\n{builtin}{own}{rules}COMMIT\n{nat}{others}"
            script = f"{restore} -w <<'END'\n{text}END\n"
            subprocess.run([*self.host.prefix, "sh", "-c", script], check=True)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def servers(hosts: Lab, kind: str) -> Iterator[tuple[Server, Server]]:
    ours = Server(hosts, kind, through_firewall=True)
    theirs = Server(hosts, kind, through_firewall=False)
    try:
        yield ours, theirs
    finally:
        ours.close()
        theirs.close()


def parts() -> dict[str, list[str]]:
    text = (ROOT / "tests/support/data/rules.txt").read_text()
    pieces = re.split(r"^=== (.*)\n", text, flags=re.MULTILINE)[1:]
    return {
        name: [line for line in lines.rstrip("\n").split("\n") if not line.startswith("#")]
        for name, lines in zip(pieces[0::2], pieces[1::2], strict=True)
    }


def made_up() -> list[str]:
    """Every match with some targets and places, each target and place with some matches."""
    found = parts()
    places, targets = found["places"], found["targets"]
    commands = []
    for number, match in enumerate(found["matches"]):
        for turn in range(4):
            place = places[(number + 2 * turn) % len(places)] if turn else "-A INPUT"
            target = targets[(3 * number + 5 * turn) % len(targets)] if turn else "-j ACCEPT"
            commands.append(f"iptables {place} {match} {target}".rstrip())
    commands += [f"iptables {line}" for line in found["whole"]]
    return commands + [f"ip6tables {line}" for line in found["six"]]


def published() -> list[str]:
    folder = os.environ.get("PYKNOCKD_CONFIGS")
    if not folder:
        return []
    key = re.compile(r"^\s*(?:start_|stop_)?command(?:_6)?\s*=\s*(.*?)\s*$", re.I | re.M)
    found = []
    for path in sorted(Path(folder).iterdir()):
        for command in key.findall(path.read_text("utf-8", "surrogateescape")):
            words = split(command)
            if words and words[0].rpartition("/")[2] in ("iptables", "ip6tables"):
                found.append(command)
    return found


def address(number: int, family: str) -> str:
    return (
        f"2001:db8:{number:x}::1"
        if family == "ip6tables"
        else f"10.9.{number // 250}.{number % 250 + 1}"
    )


def words_of(command: str, kind: str, number: int) -> list[str]:
    words = split(command)
    assert words
    name = words[0].rpartition("/")[2]
    words = split(expand(command, address(number, name)))
    assert words
    return [f"{name}-{kind}", *words[1:]]


def opposite(words: list[str]) -> list[str]:
    """The deletion of what ``words`` add, or the addition of what they delete."""
    turned = list(words)
    for at, word in enumerate(words):
        if word in ("-A", "-I", "--append", "--insert"):
            turned[at] = "-D"
            if at + 2 < len(words) and words[at + 2].isdigit():
                del turned[at + 2]
        elif word == "-D" and at + 2 < len(words) and not words[at + 2].isdigit():
            turned[at] = "-A"
    return turned


def compare(hosts: Lab, kind: str, commands: list[str]) -> Counter[str]:
    """Run all of them on both servers; what was done how often."""
    done: Counter[str] = Counter()
    different: list[str] = []
    with servers(hosts, kind) as (ours, theirs):
        for number, command in enumerate(commands):
            if number % BATCH == 0:
                ours.empty()
                theirs.empty()
            words = words_of(command, kind, number)
            turned = opposite(words)
            # A deletion of nothing, an addition, then the deletion of something; or the other way.
            for each in (words, turned, words) if "-D" in words else (words, turned):
                mine, other = ours.run(each), theirs.run(each)
                done[mine.how] += 1
                if (mine.status, mine.rules) != (other.status, other.rules):
                    different.append(_difference(each, mine, other))
    assert not different, "\n".join(different)
    return done


def compare_with_the_programs_rules(hosts: Lab, kind: str, commands: list[str]) -> Counter[str]:
    """Have each rule added by its program, add it again, delete it; what was done how often.

    The second addition must change nothing, and the deletion must leave what the program leaves.
    """
    done: Counter[str] = Counter()
    different: list[str] = []
    with servers(hosts, kind) as (ours, theirs):
        for number, command in enumerate(commands):
            if number % BATCH == 0:
                ours.empty()
                theirs.empty()
            words = words_of(command, kind, number)
            adding = opposite(words) if "-D" in words else words
            # To look for a rule with -c is refused.
            if opposite(adding) == adding or "-c" in adding:
                continue
            added = theirs.run(adding)
            if added.status:
                continue
            subprocess.run([*ours.host.prefix, *adding], capture_output=True, check=True)
            again, deleted = ours.run(adding), ours.run(opposite(adding))
            done[again.how] += 1
            done[deleted.how] += 1
            if (again.status, again.rules) != (0, added.rules):
                different.append(_difference(adding, again, added))
            other = theirs.run(opposite(adding))
            if (deleted.status, deleted.rules) != (other.status, other.rules):
                different.append(_difference(opposite(adding), deleted, other))
    assert not different, "\n".join(different)
    return done


def _difference(words: list[str], ours: Answer, theirs: Answer) -> str:
    added, missing = set(ours.rules) - set(theirs.rules), set(theirs.rules) - set(ours.rules)
    status = f"status {ours.status}, not {theirs.status}"
    return f"{' '.join(words)}: {ours.how}, {status}, +{sorted(added)} -{sorted(missing)}"


@pytest.mark.parametrize("kind", KINDS)
def test_made_up_commands_leave_the_table_that_the_program_leaves(
    hosts: Lab, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    done = compare(hosts, kind, made_up())
    with capsys.disabled():
        _tell(f"{kind}: {len(made_up())} made-up commands", done)


@pytest.mark.parametrize("kind", KINDS)
def test_published_commands_leave_the_table_that_the_program_leaves(
    hosts: Lab, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if not published():
        pytest.skip("PYKNOCKD_CONFIGS names no directory of published files")
    done = compare(hosts, kind, published())
    with capsys.disabled():
        _tell(f"{kind}: {len(published())} published commands", done)


@pytest.mark.parametrize("kind", KINDS)
def test_rules_that_the_program_wrote_are_neither_made_twice_nor_left(
    hosts: Lab, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = [*made_up(), *published()]
    done = compare_with_the_programs_rules(hosts, kind, commands)
    with capsys.disabled():
        _tell(f"{kind}: the programs' rules, from {len(commands)} commands", done)


WARNED = [
    "-A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT",
    "-A INPUT -s %IP% -p tcp --dport ssh -m comment --comment knock -j ACCEPT",
    "-I INPUT 4 -s %IP% -p tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT",
    "-A open -s %IP% -j ACCEPT",
]
NOT_WARNED = [
    "-I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT",
    "-I INPUT 3 -s %IP% -p tcp --dport 22 -j ACCEPT",
    "-A INPUT -s %IP% -j ACCEPT",
    "-A INPUT -s %IP% -p udp --dport 22 -j ACCEPT",
    "-A guarded -s %IP% -p tcp --dport 22 -j ACCEPT",
    "-D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("program", ["iptables", "ip6tables"])
def test_a_rule_that_opens_nothing_is_told(hosts: Lab, kind: str, program: str) -> None:
    hiding = f"{program}-{kind} -A INPUT -p tcp --dport 22 -j DROP".split()
    with servers(hosts, kind) as (ours, _):
        ours.empty()
        ours.run(hiding, save=False)
        for number, line in enumerate([*WARNED, *NOT_WARNED]):
            words = words_of(f"{program} {line}", kind, number)
            for each in (words, words):  # the second time it is there already
                answer = ours.run(each, save=False)
                if line in NOT_WARNED:
                    continue
                reason = "opens nothing: it stands behind -A INPUT -p tcp -m tcp --dport 22 -j DROP"
                if " open " in line:
                    reason = "opens nothing: no rule leads to the chain open"
                assert answer.warning.endswith(reason), (each, answer)
            if line in NOT_WARNED:
                assert answer.warning == "", (each, answer)


@pytest.mark.parametrize("kind", KINDS)
def test_what_will_open_nothing_is_found_without_changing_anything(hosts: Lab, kind: str) -> None:
    with servers(hosts, kind) as (ours, _):
        ours.empty()
        ours.run(f"iptables-{kind} -A INPUT -p tcp --dport 22 -j DROP".split())
        before = hosts.server.run(f"iptables-{kind}-save")
        with hosts.server.inside():
            found = Firewall().check(f"iptables-{kind} {line}" for line in [*WARNED, *NOT_WARNED])
        assert len(found) == len(WARNED), found
        assert re.sub("#.*", "", hosts.server.run(f"iptables-{kind}-save")) == re.sub(
            "#.*", "", before
        )


def test_each_command_is_said_to_go_its_way(hosts: Lab) -> None:
    templates = [
        "iptables-legacy -A INPUT -s %IP% -j ACCEPT",
        "iptables-nft -A INPUT -s %IP% -j ACCEPT",
        "iptables-nft -A INPUT -s %IP% -m state --state NEW -j ACCEPT",
        "iptables-nft -F",
        "/nowhere/iptables -A INPUT -s %IP% -j ACCEPT",
        "ufw allow from %IP%",
        "iptables-nft -A INPUT -s %IP% -j ACCEPT; true",
    ]
    hosts.server.run("iptables-nft", "-A", "FORWARD", "-j", "ACCEPT")
    with hosts.server.inside():
        firewall = Firewall()
        said = firewall.prepare(templates)
        assert list(said.ways) == [
            f"{templates[0]}: legacy, in process",
            f"{templates[1]}: nf_tables, in process",
            f"{templates[2]}: nf_tables, by the program: no form for it that is certain",
            f"{templates[3]}: nf_tables, by the program: it is not understood completely",
            f"{templates[4]}: unknown, by the program: no such program",
        ]
        hosts.server.run("iptables-legacy", "-A", "FORWARD", "-j", "ACCEPT")
        assert not said.warnings
        (warning,) = firewall.prepare(templates).warnings
        assert warning.startswith("there are rules in the legacy")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("program", ["iptables", "ip6tables"])
def test_many_rules_are_deleted_at_once(hosts: Lab, kind: str, program: str) -> None:
    name = f"{program}-{kind}"
    rules = [f"INPUT -s {address(n, program)} -p tcp --dport 22 -j ACCEPT" for n in range(6)]
    rules += [rules[0], "FORWARD -p udp -j DROP", "guarded -j DROP"]
    hosts.server.run(name, "-N", "guarded")
    for rule in rules:
        hosts.server.run(name, "-A", *rule.split())
    before = hosts.rules(name)
    none = [
        *(f"{name} -D INPUT 1", f"{name} -D nowhere -j DROP", f"{name} -F INPUT", "iptables -L"),
        *(f"{name} -D INPUT -s {address(99, program)} -j DROP", f"{name} -A INPUT -j LOG"),
        f"{name} -D INPUT -m geoip --source-country DE -j DROP",
    ]
    wanted = [f"{name} -D {rule}" for rule in [*rules[:5], *rules[7:]]]
    commands = [command.split() for command in [*none[:4], *wanted, *none[4:]]]
    with hosts.server.inside():
        firewall = Firewall()

        def gone() -> list[str]:
            return [" ".join(words) for words in firewall.delete(commands)]

        reader = Reader()
        generation = reader.generation()
        done = until(gone, "the lock is free")
        changes = reader.generation() - generation
        reader.close()
    assert sorted(done) == sorted(wanted)
    assert changes == (kind == "nft")
    # Of two that are alike the first goes.
    assert hosts.rules(name) == [line for line in before if line.startswith("-A INPUT")][5:]


@pytest.mark.parametrize("program", ["iptables", "ip6tables"])
def test_no_legacy_table_is_made_where_nothing_is_to_be_deleted(hosts: Lab, program: str) -> None:
    words = f"{program}-legacy -t mangle -D INPUT -p tcp -j ACCEPT".split()
    with hosts.server.inside():
        assert Firewall().delete([words, [*words, "-w"]]) == []
    names = "ip_tables_names" if program == "iptables" else "ip6_tables_names"
    there = hosts.server.run("sh", "-c", f"cat /proc/net/{names} || true")
    assert "mangle" not in there


def test_getting_ready_waits_for_no_program_that_hangs(
    hosts: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload gets ready in the loop."""
    for name in ("iptables-legacy-save", "xtables-nft-multi"):
        (tmp_path / name).write_text("#!/bin/sh\nsleep 60\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "iptables").symlink_to("xtables-nft-multi")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    hosts.server.run("iptables-legacy", "-A", "FORWARD", "-j", "ACCEPT")
    with hosts.server.inside():
        began = time.monotonic()
        said = Firewall().prepare(["iptables -A INPUT -s %IP% -j ACCEPT"])
        assert time.monotonic() - began < 10
    assert said.warnings == ()


def _tell(what: str, done: Counter[str]) -> None:
    total, inside = sum(done.values()), done["DONE"] + done["ALREADY"]
    print(f"\n{what}: {total} runs, other tables or statuses: 0, in process: {inside}")
    for how, count in done.most_common():
        print(f"    {count:5} {how}")
