"""knockctl and a daemon, with real doors, real tables and the real program."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pyknockd.control.handlers import WATCH
from pyknockd.control.protocol import Request, request_line
from pyknockd.control.views import SHOW
from tests.support.doors import KINDS, door, knock_as, ssh
from tests.support.lab import CLIENT_4, CLIENT_6, PATIENCE, ROOT, Lab, Running, until
from tests.support.nobody import NOBODY, copy_for_nobody

ELSE = "10.77.0.99"
SIX_ONLY = "[six]\nsequence = 6000\ntcpflags = syn\nstart_command_6 = true\n"
RULE = "-A INPUT -s {}/32 -p tcp -m tcp --dport 22 -j ACCEPT"


@dataclass
class Desk:
    """A daemon and how to ask it."""

    hosts: Lab
    config: Path
    daemon: Running

    def __call__(self, *words: str, status: int = 0) -> str:
        """What knockctl prints; its mistakes if it is to fail."""
        done = knockctl(self.hosts, "-c", str(self.config), *words)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stderr if status else done.stdout

    def json(self, *words: str) -> Any:  # noqa: ANN401 - what JSON holds
        return json.loads(self(*words, "--json"))

    @property
    def socket(self) -> Path:
        (path,) = (self.hosts.folder / "run").glob("control-*")
        return path


def knockctl(hosts: Lab, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*hosts.server.prefix, sys.executable, "-m", "pyknockd.control.knockctl", *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        env={**hosts.environment, "SUDO_USER": "alice", "TZ": "UTC", **more},
    )  # fmt: skip


def start(hosts: Lab, text: str, *options: str) -> Desk:
    config = hosts.config(text)
    return Desk(hosts, config, hosts.start(config, *options))


def refused(desk: Desk, *words: str) -> str:
    return desk(*words, status=1).removeprefix("knockctl: ").strip()


# --- by hand --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("source", "rule"),
    [
        (ELSE, RULE.format(ELSE)),
        (CLIENT_6, f"-A INPUT -s {CLIENT_6}/128 -p tcp -m tcp --dport 22 -j ACCEPT"),
    ],
)
def test_a_door_is_opened_extended_and_closed_by_hand(
    hosts: Lab, kind: str, source: str, rule: str
) -> None:
    program = kind.replace("iptables", "ip6tables") if ":" in source else kind
    desk = start(hosts, ssh(kind, timed=300))
    assert f"openSSH is open for {source}, " in desk("open", "openSSH", source)
    assert hosts.rules(program) == [rule]
    (before,) = desk.json("doors")
    assert desk("extend", source, "openSSH", "1h").startswith(f"openSSH is open for {source}, ")
    (after,) = desk.json("doors")
    assert after["until"] - before["until"] == pytest.approx(3600, abs=1)
    assert after["since"] == pytest.approx(before["since"], abs=1)
    assert desk("close", source) == f"openSSH: closing for {source}\n"
    until(lambda: hosts.rules(program) == [], "the rule is gone")
    until(lambda: desk("doors") == "nobody is in\n", "nobody is in")
    deleting = f"{program} -D INPUT -s {source} -p tcp --dport 22 -j ACCEPT"
    assert [line for line in desk.daemon.lines() if not line.startswith("firewall: ")][1:] == [
        f"{source}: openSSH: opened by hand, by alice",
        f"openSSH: running command: {deleting.replace('-D', '-I')}",
        f"{source}: openSSH: extended by 3600 s by hand, by alice",
        f"{source}: openSSH: closed by hand, by alice",
        f"openSSH: running command: {deleting}",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_no_stop_command_is_closed_by_deleting_the_rule_that_it_made(
    hosts: Lab, kind: str
) -> None:
    desk = start(hosts, ssh(kind))
    hosts.knock(7000, 8000, 9000)
    until(lambda: hosts.rules(kind), "the door is open")
    assert desk.json("doors")[0]["closing"] is None
    assert "until somebody closes it" in refused(desk, "extend", CLIENT_4, "openSSH", "1h")
    assert desk("close", CLIENT_4, "openSSH") == f"openSSH: closing for {CLIENT_4}\n"
    until(lambda: hosts.rules(kind) == [], "the rule is gone")
    until(lambda: desk.json("doors") == [], "nobody is in")
    hosts.knock(7000, 8000, 9000)
    until(lambda: hosts.rules(kind) == [RULE.format(CLIENT_4)], "it opens again")
    hosts.server.run(kind, "-F", "INPUT")
    desk("close", CLIENT_4)  # somebody has done it already
    until(lambda: desk.json("doors") == [], "nobody is in")
    assert [row["cause"] for row in desk.json("history")] == ["by-hand", "gone"]
    assert "non-zero" not in desk.daemon.text()


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_left_open_before_a_crash_is_closed_by_hand(hosts: Lab, kind: str) -> None:
    desk = start(hosts, ssh(kind))
    desk("open", "openSSH", ELSE)
    assert hosts.rules(kind) == [RULE.format(ELSE)]
    desk.daemon.stop(signal.SIGKILL)
    desk = Desk(hosts, desk.config, hosts.start(desk.config))
    assert [visit["cause"] for visit in desk.json("doors")] == ["recovered"]
    desk("close", ELSE)
    until(lambda: hosts.rules(kind) == [], "the rule is gone")


def test_a_door_that_runs_a_program_is_opened_and_closed_by_hand(
    hosts: Lab, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    text = door(f"touch {mark}", cmd_timeout="300", stop_command=f"rm {mark}")
    desk = start(hosts, text)
    assert desk("open", "d", ELSE).startswith(f"d is open for {ELSE}, ")
    assert mark.exists()
    assert len(desk.json("doors")) == 1
    desk("close", ELSE, "d")
    until(lambda: not mark.exists(), "the mark is gone")


def test_a_command_that_takes_long_is_not_waited_for(hosts: Lab, tmp_path: Path) -> None:
    desk = start(hosts, door("sleep 300", cmd_timeout="300", stop_command="true"))
    assert desk("open", "d", ELSE) == "its command has begun; who is in: knockctl doors\n"


def test_a_door_whose_command_failed_is_closed_by_hand_before_its_time(
    hosts: Lab, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    desk = start(hosts, door("false", cmd_timeout="300", stop_command=f"touch {mark}"))
    hosts.knock(7000)
    desk.daemon.wait_for("non-zero status code (1)")
    assert desk("close", CLIENT_4) == f"d: closing for {CLIENT_4}\n"
    until(mark.exists, "it is closed")
    assert "internal error" not in desk.daemon.text()


def test_what_cannot_be_done_is_refused_with_why(hosts: Lab) -> None:
    desk = start(hosts, ssh("iptables-nft", timed=300) + SIX_ONLY)
    assert refused(desk, "open", "openShh", ELSE) == (
        "no door is called openShh; there are: openSSH, six"
    )
    assert refused(desk, "open", "six", ELSE) == (
        f"six does nothing for {ELSE}: it has no Start_Command"
    )
    assert "no address" in refused(desk, "open", "openSSH", "elsewhere")
    closed = f"openSSH does not stand open for {ELSE}; who is in: knockctl doors"
    assert refused(desk, "close", ELSE, "openSSH") == closed
    assert refused(desk, "extend", ELSE, "openSSH", "1h") == closed
    assert "no door stands open" in refused(desk, "close", ELSE)
    hosts.server.run("iptables-nft", *RULE.format(ELSE).split())
    assert refused(desk, "open", "openSSH", ELSE) == (
        "the rule of openSSH is there already, and not by knockd: it stays"
    )
    assert desk.json("doors") == []


def test_a_command_that_fails_is_told_to_whoever_opens(hosts: Lab) -> None:
    desk = start(hosts, door("iptables-nft -I NOWHERE -s %IP% -j ACCEPT", cmd_timeout="0"))
    assert "the command of d has failed" in refused(desk, "open", "d", ELSE)


# --- what is shown --------------------------------------------------------------------------------


def test_the_status_says_what_there_is(hosts: Lab) -> None:
    desk = start(hosts, ssh("iptables-nft", timed=300))
    shown = desk("status")
    assert re.match(r"pyknockd \S+, for \d+ s: 0 doors open\n", shown)
    assert re.search(r"^server0 +listening$", shown, re.MULTILINE)
    assert re.search(r"^openSSH +sequence, 3 steps in 5 s +iptables-nft -I ", shown, re.MULTILINE)
    found = desk.json("status")
    assert (found["open"], found["config"]) == (0, [])
    assert found["interfaces"] == [{"name": "server0", "state": "come", "text": ""}]
    assert len(found["doors"][0]["ways"]) == 4
    desk("open", "openSSH", ELSE)
    assert re.fullmatch(
        rf"1 open: openSSH for {ELSE} until \S+( \S+)?", desk.json("status")["text"]
    )


def test_the_doors_are_those_who_are_in(hosts: Lab) -> None:
    desk = start(hosts, ssh("iptables-nft", timed=300))
    assert desk.json("doors") == []
    desk("open", "openSSH", ELSE)
    heads, row = desk("doors").splitlines()
    assert heads.split() == ["DOOR", "SOURCE", "SINCE", "UNTIL", "HOW", "CLOSED", "BY"]
    assert row.startswith(f"openSSH  {ELSE}  20")
    assert row.endswith(f"iptables-nft -D INPUT -s {ELSE} -p tcp --dport 22 -j ACCEPT")
    (visit,) = desk.json("doors")
    assert (visit["door"], visit["source"], visit["cause"]) == ("openSSH", ELSE, "opened")
    assert visit["until"] - visit["since"] == pytest.approx(300, abs=1)
    assert abs(visit["since"] - time.time()) < 60


def test_the_history_is_told_while_a_daemon_runs_and_while_none_does(hosts: Lab) -> None:
    desk = start(hosts, ssh("iptables-nft", timed=300))
    assert desk("history") == "nothing is remembered of that\n"
    desk("open", "openSSH", ELSE)
    desk("close", ELSE)
    desk("open", "openSSH", CLIENT_4)
    for _ in range(2):
        rows = desk.json("history")
        assert [(row["source"], row["cause"]) for row in rows] == [
            (ELSE, "by-hand"),
            (CLIENT_4, None),
        ]
        assert [row["source"] for row in desk.json("history", "--source", ELSE)] == [ELSE]
        assert desk.json("history", "--door", "web") == []
        assert desk.json("history", "--since", "2999-01-01") == []
        assert len(desk.json("history", "--since", "1h", "--door", "openSSH")) == 2
        heads, first, second = desk("history").splitlines()
        assert heads.split()[:3] == ["OPENED", "DOOR", "SOURCE"]
        assert ELSE in first and "by-hand" in first
        assert CLIENT_4 in second and " open" in second
        desk.daemon.stop()


def test_counts_are_told_and_written_to_a_file(hosts: Lab) -> None:
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    path = hosts.folder / "knockd.prom"
    (hosts.folder / "pyknockd.yaml").write_text(f"metrics:\n  textfile: {path}\n")
    desk = start(hosts, ssh("iptables-nft", timed=300))
    until(path.exists, "the file is there")
    desk("open", "openSSH", ELSE)
    for text in (desk("metrics"), desk.json("metrics"), path.read_text()):
        families = {one.name: one for one in parser.text_string_to_metric_families(text)}
        assert families["knockd_attempts"].samples[0].value == 0
    assert 'knockd_doors_open{door="openSSH"} 1\n' in desk("metrics")


def test_a_file_that_cannot_be_written_is_told_and_keeps_no_door_shut(hosts: Lab) -> None:
    (hosts.folder / "pyknockd.yaml").write_text("metrics: {textfile: /nowhere/at/all}\n")
    desk = start(hosts, ssh("iptables-nft", timed=300))
    desk.daemon.wait_for("the metrics /nowhere/at/all cannot be written: No such file")
    hosts.knock(7000, 8000, 9000)
    until(lambda: hosts.rules("iptables-nft"), "the door is open")


# --- the files ------------------------------------------------------------------------------------


def test_a_reload_prints_the_mistakes_and_ends_with_1(hosts: Lab) -> None:
    desk = start(hosts, ssh("iptables-nft", timed=300))
    assert desk("reload") == "the files are taken over\n"
    good = desk.config.read_text()
    desk.config.write_text(good.replace("sequence = 7000,8000,9000", "sequence = 70000"))
    shown = desk("status")
    assert "the files have mistakes, what they said before holds:" in shown
    assert f"{desk.config}:3: " in shown
    done = knockctl(hosts, "-c", str(desk.config), "reload")
    assert done.returncode == 1
    assert f"{desk.config}:3: " in done.stdout
    assert done.stdout.endswith("not taken over: what held before holds\n")
    assert json.loads(knockctl(hosts, "-c", str(desk.config), "--json", "reload").stdout)
    desk.config.write_text(good.replace("[openSSH]", "[other]"))
    assert "the files are newer than what holds" in desk("status")
    assert desk("reload") == "the files are taken over\n"
    assert [one["name"] for one in desk.json("status")["doors"]] == ["other"]
    assert desk.json("status")["config"] == []


def test_relative_paths_of_a_daemon_in_the_background_are_found(hosts: Lab) -> None:
    (hosts.folder / "once").write_text(" 7000\n 8000\n")
    text = "[d]\none_time_sequences = once\ntcpflags = syn\nstart_command = true\n"
    config = hosts.config(text)
    options = ["-d", "-i", "server0", "-c", config.name, "-p", "pid", "--settings", "none.yaml"]
    words = [*hosts.server.prefix, sys.executable, "-m", "pyknockd", *options]
    environment = {**hosts.environment, "PYTHONPATH": str(ROOT)}
    subprocess.run(words, cwd=hosts.folder, env=environment, check=True)
    config.write_text(text + "cmd_timeout = 5\n")
    shown = knockctl(hosts, "-c", str(config), "status").stdout
    assert "the files are newer than what holds" in shown
    assert "mistakes" not in shown


# --- who may ask, and where -----------------------------------------------------------------------


def test_the_exit_status_says_what_went_wrong(hosts: Lab) -> None:
    config = hosts.config(ssh("iptables-nft"))
    for words in ("status",), ("doors",), ("open", "openSSH", ELSE), ("history",):
        done = knockctl(hosts, "-c", str(config), *words)
        assert (done.returncode, done.stdout) == (3, ""), words
        assert "knockd" in done.stderr
    for wrong in ((), ("explode",), ("open",), ("extend", ELSE, "d", "soon"), ("--no",)):
        assert knockctl(hosts, *wrong).returncode == 2
    assert knockctl(hosts, "--version").stdout.startswith("pyknockd ")
    assert knockctl(hosts, "--help").returncode == 0


def test_another_user_is_not_heard(hosts: Lab, tmp_path: Path) -> None:
    desk = start(hosts, ssh("iptables-nft"))
    assert stat.S_IMODE(desk.socket.stat().st_mode) == 0o600
    for mode in (0o600, 0o666):  # the second: even if somebody has let him in
        desk.socket.chmod(mode)
        for folder in (desk.socket.parent, *desk.socket.parents[:-2]):
            folder.chmod(folder.stat().st_mode | 0o055)
        with copy_for_nobody() as (python, folder):
            words = [
                python,
                "-m",
                "pyknockd.control.knockctl",
                "--socket",
                str(desk.socket),
                "doors",
            ]
            done = as_nobody_on(hosts, words, folder)
        assert done.returncode == 3
        assert done.stdout == ""
        assert ("Permission denied" if mode == 0o600 else "it answers root only") in done.stderr
    assert desk.json("doors") == []


def as_nobody_on(hosts: Lab, words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    own = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return subprocess.run(
        [*hosts.server.prefix, *own, *words],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_two_daemons_are_asked_apart(hosts: Lab) -> None:
    one = start(hosts, ssh("iptables-nft", timed=300))
    other = start(hosts, door("true", cmd_timeout="0"))
    assert [found["name"] for found in one.json("status")["doors"]] == ["openSSH"]
    assert [found["name"] for found in other.json("status")["doors"]] == ["d"]


@pytest.mark.parametrize("by", ["option", "settings"])
def test_the_socket_lies_where_it_is_said_to(hosts: Lab, by: str) -> None:
    path = hosts.folder / "elsewhere" / "control"
    if by == "settings":
        (hosts.folder / "pyknockd.yaml").write_text(f"control: {path}\n")
    options = ("--control", str(path)) if by == "option" else ()
    desk = start(hosts, ssh("iptables-nft"), *options)
    assert knockctl(hosts, "--socket", str(path), "doors").returncode == 0
    assert desk.daemon.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize("path", ["/proc/control", "/dev/null", "/" + "x" * 300])
def test_where_there_can_be_no_socket_doors_open_all_the_same(hosts: Lab, path: str) -> None:
    desk = start(hosts, ssh("iptables-nft", timed=300), "--control", path)
    assert f"no socket for knockctl: {path}: " in desk.daemon.text()
    hosts.knock(7000, 8000, 9000)
    until(lambda: hosts.rules("iptables-nft"), "the door is open")
    assert Path("/dev/null").is_char_device()


def test_a_socket_left_over_by_a_crash_is_taken_over_and_a_stop_leaves_none(hosts: Lab) -> None:
    desk = start(hosts, ssh("iptables-nft", timed=300))
    path = desk.socket
    desk.daemon.stop(signal.SIGKILL)
    assert path.exists()
    assert desk("doors", status=3)
    daemon = hosts.start(desk.config)
    assert desk.json("doors") == []
    assert daemon.stop() == 0
    assert not path.exists()


# --- why it did not open ------------------------------------------------------------------------


def brought_about(hosts: Lab) -> list[str]:
    """Each cause in turn, by packets; and what it is called."""
    hosts.knock(7000, 9000)
    hosts.knock(8000)
    knock_as(hosts, "10.77.9.9", 7000)
    return ["wrong-port", "no-attempt", "denied"]


def test_whoever_watches_and_whoever_asks_afterwards_are_told_the_same_causes(hosts: Lab) -> None:
    (hosts.folder / "pyknockd.yaml").write_text("doors:\n  ssh:\n    deny: [10.77.9.9]\n")
    desk = start(hosts, NAMED_SSH)
    with connected(desk.socket) as connection, connection.makefile("rb") as lines:
        connection.sendall(b'{"version": 1, "do": "watch"}\n')
        assert json.loads(lines.readline())["result"] == {"watching": None}
        causes = brought_about(hosts)
        seen: list[dict[str, object]] = []
        while not any(event.get("cause") == "denied" for event in seen):
            seen.append(json.loads(lines.readline()))
    watched = [(event["event"], event.get("cause")) for event in seen]
    asked = [json.loads(line) for line in desk("why", "--json").splitlines()]
    found = [event.get("cause") for event in asked]
    assert [cause for cause in causes if cause not in found] == []
    told = {(event["event"], event.get("cause")) for event in asked}
    assert {pair for pair in watched if pair[1] in causes} <= told
    assert all(event["remedy"] for event in asked if event.get("cause") in causes)
    (line,) = [json.loads(line) for line in desk("why", "10.77.9.9", "--json").splitlines()]
    assert (line["source"], line["cause"]) == ("10.77.9.9", "denied")


def test_a_watcher_who_reads_nothing_holds_up_nobody(hosts: Lab) -> None:
    desk = start(hosts, NAMED_SSH)
    with connected(desk.socket) as connection:
        connection.sendall(b'{"version": 1, "do": "watch"}\n')
        for _ in range(300):
            knock_as(hosts, "10.77.3.1", 7000, 9000)
        hosts.knock(7000, 8000, 9000)
        until(lambda: hosts.rules("iptables-nft"), "the door opens")


def test_the_program_shows_events_until_the_daemon_ends(hosts: Lab) -> None:
    desk = start(hosts, NAMED_SSH)
    words = [sys.executable, "-m", "pyknockd.control.knockctl", "--socket", str(desk.socket)]
    watching = hosts.spawn([*words, "watch", CLIENT_4])
    until(lambda: desk.json("status"), "it answers")
    hosts.knock(7000, 9000)

    def is_shown() -> bool:
        hosts.knock(7000, 9000)
        return "9000 came where 8000 was due" in watching.text()

    until(is_shown, "it is shown")
    assert desk.daemon.stop() == 0
    assert watching.process.wait(PATIENCE) == 0
    assert "shutting down" in watching.text()


# --- what the manual page says --------------------------------------------------------------------


MANUAL = Path(ROOT, "debian/knockctl.8").read_text().replace("\\-", "-")
NAMED_SSH = ssh("iptables-nft", timed=300).replace("openSSH", "ssh")


def test_each_example_of_the_manual_page_works(hosts: Lab) -> None:
    desk = start(hosts, NAMED_SSH)
    examples = re.findall(r"^knockctl (.*)$", MANUAL.partition(".SH EXAMPLES")[2], re.MULTILINE)
    assert {example.split()[0] for example in examples} == set(SHOW)
    for example in examples:
        assert desk(*example.split()), example


def test_each_line_of_the_manual_page_is_understood(hosts: Lab) -> None:
    desk = start(hosts, NAMED_SSH)
    requests = re.findall(r'^\{"version": 1, "do".*\}$', MANUAL, re.MULTILINE)
    assert {json.loads(request)["do"] for request in requests} == {*SHOW, WATCH}
    shh = b'{"version": 1, "do": "close", "door": "shh", "source": "::1"}\n'
    refusal = '{"version": 1, "ok": false, "error": "no door is called shh; there are: ssh"}'
    with connected(desk.socket) as connection, connection.makefile("rb") as answers:
        # Last the one upon which nothing else is asked.
        for request in sorted(requests, key=lambda one: WATCH in one):
            if WATCH in request:
                connection.sendall(shh)
                assert next(answers).decode() == f"{refusal}\n"
            connection.sendall(f"{request}\n".encode())
            answer = json.loads(next(answers))
            assert (answer["version"], answer["ok"]) == (1, True), (request, answer)
    assert refusal in MANUAL
    assert "ssh: opened by hand, by alice" in desk.daemon.text()


def test_what_pip_installs_in_a_bare_environment_works(hosts: Lab, tmp_path: Path) -> None:
    """Its libraries are the daemon's; knockctl needs none."""
    source, venv = tmp_path / "source", tmp_path / "venv"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "tests"))
    subprocess.run(["/usr/bin/python3", "-m", "venv", venv], check=True)
    install = [f"{venv}/bin/python", "-m", "pip", "install", "-q", "--no-deps", str(source)]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs what builds a package: {done.stderr}")
    desk = start(hosts, NAMED_SSH)
    words = [f"{venv}/bin/knockctl", "--socket", str(desk.socket), "doors"]
    done = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "nobody is in\n"), done.stderr


# --- the hostile ----------------------------------------------------------------------------------


def resident(daemon: Running) -> int:
    """Bytes in memory."""
    fields = Path(f"/proc/{daemon.process.pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    connection.settimeout(60)
    return connection


def test_many_requests_and_garbage_keep_no_door_shut_and_take_no_memory(hosts: Lab) -> None:
    desk = start(hosts, ssh("iptables-nft", timed=300))
    path = desk.socket
    line = b"".join(
        request_line(Request(do, {})) for do in ("status", "doors", "history", "metrics", "no")
    )

    def storm(requests: int) -> None:
        """So many requests, pipelined; then garbage by those who read nothing."""
        with connected(path) as one, one.makefile("rb") as answers:
            for _ in range(requests // 50):
                one.sendall(line * 10)
                for _ in range(50):
                    assert next(answers)
        for data in (b"\xff" * 3000, b"[" * 4096, b"x" * 100_000, line[:30]):
            with connected(path) as one:
                one.setblocking(False)
                try:
                    one.send(data)
                    one.send(line * 20)
                except (BlockingIOError, ConnectionError):
                    pass

    storm(500)
    before = resident(desk.daemon)
    silent = [connected(path) for _ in range(40)]
    for one in silent:
        one.setblocking(False)
        try:
            while True:
                one.send(line)
        except (BlockingIOError, ConnectionError):
            pass
    hosts.knock(7000, 8000, 9000)
    until(lambda: hosts.rules("iptables-nft"), "the door opens while they ask")
    storm(2500)
    for one in silent:
        one.close()
    assert resident(desk.daemon) - before < 8 << 20
    assert [visit["source"] for visit in desk.json("doors")] == [CLIENT_4]
    assert "internal error" not in desk.daemon.text()
