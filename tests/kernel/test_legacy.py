"""The legacy tables, changed in process and by the program: the same table comes of it."""

from __future__ import annotations

import fcntl
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyknockd.firewall import Firewall, Outcome
from pyknockd.firewall.legacy import tables as legacy_tables
from tests.support.lab import ROOT, Lab, until

# A full run takes 5,000 and 10,000.
CHANGES = int(os.environ.get("PYKNOCKD_CHANGES", "400"))
OPENINGS = int(os.environ.get("PYKNOCKD_OPENINGS", "1000"))
CRASHES = int(os.environ.get("PYKNOCKD_CRASHES", "10"))

APPLY = """
import sys
from pyknockd.firewall import Firewall
from pyknockd.system.shell import split
firewall = Firewall()
for line in sys.stdin:
    applied = firewall.apply(split(line.strip()))
    already = "ALREADY" if applied.already else applied.outcome.name
    print(already, applied.reason, flush=True)
"""


class InProcess:
    """A process on the server that makes changes through python-iptables."""

    def __init__(self, hosts: Lab) -> None:
        self.hosts = hosts
        self._process = subprocess.Popen(
            [*hosts.server.prefix, sys.executable, "-c", APPLY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def apply(self, command: str) -> str:
        """What comes of it once nobody holds the lock, which all namespaces share."""
        return until(lambda: self.apply_once(command).replace("BUSY", ""), "the lock is free")

    def apply_once(self, command: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def save(self) -> list[str]:
        """Both families' rules and counters left out."""
        text = "".join(
            self.hosts.server.run(f"{name}-legacy-save") for name in ("iptables", "ip6tables")
        )
        return [line for line in text.splitlines() if line.startswith("-A")]

    def flush(self) -> None:
        for program in ("iptables-legacy", "ip6tables-legacy"):
            self.hosts.server.run(program, "-F")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def tables(hosts: Lab) -> Iterator[InProcess]:
    pytest.importorskip("iptc", reason="needs python-iptables")
    made = InProcess(hosts)
    hosts.server.run("iptables-legacy", "-N", "guarded")
    yield made
    made.close()


CHECKING = re.compile("-[AI] (INPUT|OUTPUT|guarded)( 1)?")

COMMANDS = [
    "iptables-legacy -A INPUT -s 192.0.2.1 -p tcp --dport 22 -j ACCEPT",
    "iptables-legacy -I INPUT -s 192.0.2.1/255.255.255.0 -p tcp --dport ssh -j ACCEPT",
    "iptables-legacy -I INPUT 1 -s 192.0.2.77/8 -p tcp -m tcp --dport 22:25 -j ACCEPT",
    'iptables-legacy -A INPUT -s 192.0.2.1 -m comment --comment "two words" -j ACCEPT',
    "iptables-legacy -A INPUT -m comment --comment 'so; it & is' -p udp --sport 53 -j DROP",
    "iptables-legacy -A INPUT ! -s 192.0.2.1 -p udp ! --dport 22:33 -j DROP",
    "iptables-legacy -A INPUT -p tcp --syn -m state --state NEW,RELATED -j DROP",
    "iptables-legacy -A INPUT -p tcp --tcp-flags SYN,ACK SYN -j DROP",
    "iptables-legacy -A INPUT -p tcp ! --syn -j DROP",
    "iptables-legacy -A INPUT -p tcp -m conntrack --ctstate NEW,RELATED --dport 5 -j REJECT",
    "iptables-legacy -A INPUT -m conntrack ! --ctstate INVALID -j RETURN",
    "iptables-legacy -A INPUT -p tcp -m multiport --dports 5,6,7:9 -j ACCEPT",
    'iptables-legacy -A INPUT -m limit --limit 3/minute -j LOG --log-prefix "knock: " --log-level 4',
    "iptables-legacy -A INPUT -m limit --limit 10/second --limit-burst 7 -j ACCEPT",
    "iptables-legacy -A INPUT -i eth0 -m mac --mac-source 00:11:22:33:44:55 -j RETURN",
    "iptables-legacy -A OUTPUT ! -o lo -d 192.0.2.0/24 -j ACCEPT",
    "iptables-legacy -A INPUT -m iprange --src-range 192.0.2.1-192.0.2.9 -j ACCEPT",
    "iptables-legacy -A INPUT -m addrtype --dst-type LOCAL -j ACCEPT",
    "iptables-legacy -A INPUT -m mark ! --mark 0x1/0xff -j ACCEPT",
    "iptables-legacy -A INPUT -p tcp -j REJECT --reject-with tcp-reset",
    "iptables-legacy -A INPUT ! -p tcp -j ACCEPT",
    "iptables-legacy -A INPUT -p 47 -g guarded",
    "iptables-legacy -A guarded -p icmp -j RETURN",
    "iptables-legacy -A INPUT -s 192.0.2.9 -j guarded",
    "ip6tables-legacy -A INPUT -s 2001:db8::1 -p tcp --dport 22 -j ACCEPT",
    "ip6tables-legacy -I INPUT ! -d 2001:db8::1/32 -p icmpv6 -j REJECT",
    "ip6tables-legacy -A INPUT -p udp -m multiport --dports 53,123 -j ACCEPT",
]


def test_every_change_leaves_the_table_that_the_program_leaves(tables: InProcess) -> None:
    for command in COMMANDS:
        outcome = tables.apply(command)
        ours = tables.save()
        # The program compares the rule's bytes, of which its printed form does not show all.
        tables.hosts.server.run("sh", "-c", CHECKING.sub(r"-C \1", command))
        tables.flush()
        tables.hosts.server.run("sh", "-c", command)
        theirs = tables.save()
        assert (command, outcome, ours) == (command, "DONE", theirs)
        deleting = command.replace(" -A ", " -D ").replace(" -I INPUT 1 ", " -D INPUT ")
        assert (command, tables.apply(deleting.replace(" -I ", " -D "))) == (command, "DONE")
        assert (command, tables.save()) == (command, [])


@pytest.mark.parametrize(
    "command",
    [
        "iptables-legacy -A NOWHERE -j ACCEPT",
        "iptables-legacy -D INPUT -s 192.0.2.1 -j ACCEPT",
        "iptables-legacy -I INPUT 7 -j ACCEPT",
        "iptables-legacy -A INPUT -j NOWHERE",
        "iptables-legacy -A INPUT -s localhost -j ACCEPT",
        "iptables-legacy -A INPUT -s 192.0.2.1,192.0.2.2 -j ACCEPT",
        "iptables-legacy -A INPUT -o eth0 -j ACCEPT",
        "iptables-legacy -A INPUT -p tcp --dport nonsense -j ACCEPT",
        "iptables-legacy -A INPUT -s 2001:db8::1 -j ACCEPT",
        "iptables-legacy -A INPUT -s 192.0.2.1",
        "iptables-legacy -A INPUT -i eth+ -j ACCEPT",
        'iptables-legacy -A INPUT -m comment --comment "--x" -j ACCEPT',
        'iptables-legacy -A INPUT -m comment --comment "it\'s" -j ACCEPT',
        "ip6tables-legacy -A INPUT ! -p tcp -j ACCEPT",
        "ip6tables-legacy -A INPUT -i eth0 -j ACCEPT",
        "iptables-nft -A INPUT -j ACCEPT",
        "/nowhere/iptables -A INPUT -j ACCEPT",
    ],
)
def test_what_is_not_certain_changes_nothing(tables: InProcess, command: str) -> None:
    assert tables.apply(command).split()[0] == "RUN_THE_PROGRAM"
    assert tables.save() == []


def test_a_rule_that_is_there_is_not_added_twice(tables: InProcess) -> None:
    for command in COMMANDS:
        tables.flush()
        assert (command, tables.apply(command)) == (command, "DONE")
        before = tables.save()
        assert (command, tables.apply(command)) == (command, "ALREADY")
        assert tables.save() == before
        tables.hosts.server.run("sh", "-c", CHECKING.sub(r"-D \1", command))
        assert (command, tables.apply(command)) == (command, "DONE")


def test_a_rule_is_deleted_by_its_number(tables: InProcess) -> None:
    for number in range(1, 4):
        tables.apply(f"iptables-legacy -A INPUT -s 192.0.2.{number} -j ACCEPT")
    assert tables.apply("iptables-legacy -D INPUT 2") == "DONE"
    assert tables.apply("iptables-legacy -D INPUT 3").split()[0] == "RUN_THE_PROGRAM"
    left = [f"-A INPUT -s 192.0.2.{number}/32 -j ACCEPT" for number in (1, 3)]
    assert tables.save() == left


def test_no_table_comes_into_being_for_our_sake(tables: InProcess) -> None:
    assert tables.apply(COMMANDS[0]) == "DONE"
    names = Path("/proc/net/ip_tables_names")
    assert tables.hosts.server.run("cat", str(names)).split() == ["filter"]


def test_a_held_lock_is_reported_and_not_waited_for(tables: InProcess) -> None:
    assert tables.apply(COMMANDS[0]) == "DONE"
    with open("/run/xtables.lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert tables.apply_once(COMMANDS[1]) == "BUSY"
        assert len(tables.save()) == 1
    assert tables.apply(COMMANDS[1]) == "DONE"
    assert len(tables.save()) == 2


def test_without_python_iptables_the_program_is_run(
    hosts: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a Python without distutils, which python-iptables 1.0 imports."""
    monkeypatch.setitem(sys.modules, "iptc", None)
    # Another test of this process may have loaded it already.
    monkeypatch.setattr(legacy_tables, "_iptc", legacy_tables._iptc.__wrapped__)
    firewall = Firewall()
    words = ["iptables-legacy", "-A", "INPUT", "-s", "192.0.2.1", "-j", "ACCEPT"]
    with hosts.server.inside():
        [said] = firewall.prepare(["iptables-legacy -A INPUT -s %IP% -j ACCEPT"]).ways
        applied = firewall.apply(words)
    assert "legacy, by the program: python-iptables cannot be loaded" in said
    assert applied.outcome is Outcome.RUN_THE_PROGRAM
    assert applied.check == (words[0], "-C", *words[2:])


OTHER = """
import subprocess, sys, threading
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
def run(operation, number):
    rule = ["-s", f"192.0.{number // 250 % 250}.{number % 250 + 1}", "-j", "DROP"]
    words = ["iptables-legacy", "-w", operation, "INPUT", *(["1"] if operation == "-R" else []), *rule]
    return subprocess.run(words, capture_output=True).returncode
number = refused = lost = 0
while not ended.is_set():
    lost += bool(number and run("-C", number))
    number += 1
    refused += bool(run("-R", number))
lost += bool(run("-C", number))
print(number, refused, lost)
"""


def test_another_programs_changes_are_neither_lost_nor_undone(
    tables: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """It replaces the first rule all the while, so that the number of rules stays the same."""
    tables.hosts.server.run("iptables-legacy", "-A", "INPUT", "-s", "192.0.0.1", "-j", "DROP")
    words = [*tables.hosts.server.prefix, sys.executable, "-c", OTHER]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        kept = []
        for number in range(CHANGES // 2):
            rule = f"-s 10.{number // 250}.{number % 250}.1 -p tcp --dport 22 -j ACCEPT"
            assert tables.apply(f"iptables-legacy -A INPUT {rule}") == "DONE"
            if number % 50:
                assert tables.apply(f"iptables-legacy -D INPUT {rule}") == "DONE"
            else:
                kept.append(f"10.{number // 250}.{number % 250}.1/32")
        said, _ = other.communicate()
    made, refused, lost = map(int, said.split())
    with capsys.disabled():
        print(
            f"\nlegacy: {CHANGES} changes of ours, {made} of another: refused {refused}, lost {lost}"
        )
    assert (refused, lost) == (0, 0)
    assert made > 10
    assert [line.split()[3] for line in tables.save()[1:]] == kept


def test_a_crash_in_the_middle_leaves_the_table_whole(hosts: Lab) -> None:
    pytest.importorskip("iptc", reason="needs python-iptables")
    hosts.server.run("iptables-legacy", "-A", "INPUT", "-s", "192.0.2.1", "-j", "DROP")
    chance = random.Random(4)
    loop = APPLY.partition("for line")[0] + ENDLESS
    for number in range(CRASHES):
        words = [*hosts.server.prefix, sys.executable, "-c", loop, str(number)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"open\n"
            time.sleep(chance.uniform(0, 0.02))
            process.kill()
        left = hosts.rules("iptables-legacy")
        assert left[0] == "-A INPUT -s 192.0.2.1/32 -j DROP"
        assert left[1:] in ([], [f"-A INPUT -s 10.0.0.{number}/32 -j ACCEPT"])
        hosts.server.run("iptables-legacy", "-w", "-F", "INPUT")
        hosts.server.run("iptables-legacy", "-A", "INPUT", "-s", "192.0.2.1", "-j", "DROP")


ENDLESS = """
first = True
while True:
    for operation in ("-A", "-D"):
        rule = ["-s", f"10.0.0.{sys.argv[1]}", "-j", "ACCEPT"]
        while firewall.apply(["iptables-legacy", operation, "INPUT", *rule]).outcome.name != "DONE":
            pass
        if first:
            print("open", flush=True)
        first = False
"""


def test_opening_and_closing_as_fast_as_it_goes_loses_nothing(
    tables: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """No rule is left, no descriptor, and no memory."""
    process = Path(f"/proc/{tables.pid}")

    def used() -> tuple[int, int]:
        status = (process / "status").read_text()
        resident = int(status.partition("VmRSS:")[2].split()[0])
        return resident, len(list((process / "fd").iterdir()))

    def open_and_close(times: int) -> None:
        for number in range(times):
            rule = f"-s 10.0.{number // 250 % 250}.{number % 250} -p tcp --dport 22 -j ACCEPT"
            assert tables.apply(f"iptables-legacy -I INPUT {rule}") == "DONE"
            assert tables.apply(f"iptables-legacy -D INPUT {rule}") == "DONE"

    open_and_close(200)
    before = used()
    open_and_close(OPENINGS)
    after = used()
    with capsys.disabled():
        growth, descriptors = after[0] - before[0], after[1] - before[1]
        print(f"\nlegacy, {OPENINGS} openings: {growth} kB, descriptors: {descriptors}")
    assert after[0] - before[0] < 2048
    assert after[1] == before[1]
    assert tables.save() == []


def test_a_lock_that_is_no_file_is_not_waited_for(
    hosts: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("iptc", reason="needs python-iptables")
    os.mkfifo(tmp_path / "lock")
    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "lock"))
    with hosts.server.inside():
        words = ["iptables-legacy", "-A", "INPUT", "-s", "192.0.2.1", "-j", "ACCEPT"]
        assert Firewall().apply(words).outcome is Outcome.DONE
