"""Openings that make the same rule: it is closed when the last of their times is over."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.support.doors import KINDS
from tests.support.lab import CLIENT_4, Lab, until

RULE = "INPUT -s %IP% -p tcp --dport 22 -j ACCEPT"


def section(name: str, port: int, opening: str, closing: str = "", seconds: int = 0) -> str:
    lines = [f"[{name}]", f"sequence = {port}", f"start_command = {opening}"]
    if closing:
        lines += [f"cmd_timeout = {seconds}", f"stop_command = {closing}"]
    return "\n".join([*lines, "tcpflags = syn", ""])


def timed(name: str, port: int, kind: str, seconds: int, rule: str = RULE) -> str:
    return section(name, port, f"{kind} -I {rule}", f"{kind} -D {rule}", seconds)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "other",
    [RULE, "INPUT -p tcp -m tcp -s %IP%/32 --dport ssh -j ACCEPT"],
    ids=["alike", "in other words"],
)
@pytest.mark.parametrize("first", ["long", "short"])
def test_the_latest_end_asked_for_holds(hosts: Lab, kind: str, other: str, first: str) -> None:
    doors = timed("short", 7000, kind, 1) + timed("long", 7001, kind, 3600, other)
    daemon = hosts.start(doors + section("last", 6000, "true"))
    for port in (7001, 7000) if first == "long" else (7000, 7001):
        hosts.knock(port)
    daemon.wait_for("OPEN SESAME", times=2)
    # The short one's time is over before that of one that began later and lasts as long.
    hosts.knock(6000)
    until(lambda: "last: running command" in daemon.text(), "commands run")
    assert len(hosts.rules(kind)) == 1
    until(lambda: _age(daemon.path) > 1.5, "the short time is over")
    hosts.knock(6000)
    daemon.wait_for("last: running command", times=2)
    assert len(hosts.rules(kind)) == 1
    assert daemon.text().count("command timeout") == 0


def _age(path: Path) -> float:
    """Seconds since something was last written there."""
    return time.time() - path.stat().st_mtime


@pytest.mark.parametrize("kind", KINDS)
def test_a_door_without_end_is_not_closed_by_anothers_time(hosts: Lab, kind: str) -> None:
    doors = section("forever", 7000, f"{kind} -I {RULE}") + timed("timed", 7001, kind, 1)
    daemon = hosts.start(doors)
    hosts.knock(7001, 7000)
    daemon.wait_for("OPEN SESAME", times=2)
    until(lambda: _age(daemon.path) > 1.5, "the time is over")
    assert len(hosts.rules(kind)) == 1


def slow_iptables(folder: Path) -> str:
    """An iptables that takes half a second for each command."""
    program = folder / "iptables"
    program.write_text(f'#!/bin/sh\nsleep 0.5\nexec {shutil.which("iptables-nft")} "$@"\n')
    program.chmod(0o755)
    return str(program)


def test_who_knocks_while_a_rule_for_everybody_is_closed_for_another_gets_in(
    hosts: Lab, tmp_path: Path
) -> None:
    kind = slow_iptables(tmp_path)
    rule = "INPUT -p tcp --dport 22 -m comment --comment everybody -j ACCEPT"
    daemon = hosts.start(timed("all", 7000, kind, 1, rule))
    hosts.client.ip("addr", "add", "10.77.0.3/24", "dev", "client0")
    hosts.knock(7000)
    daemon.wait_for("all: command timeout")  # and iptables takes its time
    hosts.client.ip("addr", "del", f"{CLIENT_4}/24", "dev", "client0")
    hosts.client.ip("addr", "add", "10.77.0.3/24", "dev", "client0")
    hosts.knock(7000)
    daemon.wait_for("10.77.0.3: all: OPEN SESAME")
    until(lambda: "-I" in daemon.text() and daemon.text().count("running command") >= 3, "it runs")
    until(lambda: len(hosts.rules("iptables-nft")) == 1, "the rule is there for the second")
    daemon.wait_for("10.77.0.3: all: command timeout")
    until(lambda: not hosts.rules("iptables-nft"), "and is closed after his time")


def test_doors_of_one_source_with_one_rule_take_turns(hosts: Lab, tmp_path: Path) -> None:
    kind = slow_iptables(tmp_path)
    close = section("close", 7001, f"{kind} -D {RULE}")
    daemon = hosts.start(section("open", 7000, f"{kind} -I {RULE}") + close)
    hosts.knock(7000, 7001)
    daemon.wait_for("running command", times=2)
    until(lambda: not _running(str(tmp_path)), "both have run")
    assert hosts.rules("iptables-nft") == []


def _running(folder: str) -> bool:
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"{folder}/iptables".encode() in process.read_bytes() and os.getpid() != int(
                process.parent.name
            ):
                return True
        except OSError:
            pass
    return False
