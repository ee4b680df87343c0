"""Faults that are ordinary in service, made to happen."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.doors import EVERY_LINE, KINDS, door, knock_as, ssh, syn
from tests.support.lab import CLIENT_4, INTERFACE, PATIENCE, SERVER_4, Lab, Running, until

KILLS = int(os.environ.get("PYKNOCKD_KILLS", "12"))
OTHERS = ["-A INPUT -s 192.0.2.7/32 -j DROP", f"-A INPUT -s {CLIENT_4}/32 -p udp -j ACCEPT"]


def restart(hosts: Lab, config: Path, daemon: Running, number: int) -> Running:
    daemon.stop(number)
    return hosts.start(config)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("kind", KINDS)
def test_a_door_left_open_is_closed_in_time_by_the_next_daemon(
    hosts: Lab, kind: str, number: int
) -> None:
    config = hosts.config(ssh(kind, timed=4))
    daemon = hosts.start(config)
    began = time.monotonic()
    hosts.knock(7000, 8000, 9000)
    until(lambda: hosts.rules(kind), "the rule is there")
    daemon = restart(hosts, config, daemon, number)
    assert hosts.rules(kind) or time.monotonic() - began > 4
    until(lambda: not hosts.rules(kind), "the rule is gone")
    until(lambda: f"{CLIENT_4}: openSSH: command timeout" in daemon.text(), "it says so")
    assert daemon.text().count("running command") == 1


def test_a_door_whose_time_has_passed_is_closed_at_start(hosts: Lab) -> None:
    config = hosts.config(ssh("iptables-nft", timed=4))
    daemon = hosts.start(config)
    hosts.knock(7000, 8000, 9000)
    until(lambda: hosts.rules("iptables-nft"), "the rule is there")
    daemon.stop(signal.SIGKILL)
    time.sleep(4.1)  # it is the daemon's absence that is tested
    assert hosts.rules("iptables-nft")
    hosts.start(config)
    until(lambda: not hosts.rules("iptables-nft"), "the rule is gone")


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_any_instant_it_leaves_no_door_open_and_no_other_rule_touched(
    hosts: Lab, kind: str
) -> None:
    for rule in OTHERS:
        hosts.server.run(kind, *rule.split())
    config = hosts.config(ssh(kind, timed=0).replace("cmd_timeout = 0", "cmd_timeout = 1"))
    others = hosts.rules(kind)
    rng = random.Random(5)
    for _ in range(KILLS):
        daemon = hosts.start(config)
        hosts.knock(7000, 8000, 9000)
        # Half of the instants lie about the opening, half about the closing.
        time.sleep(rng.choice((0, 1)) + rng.uniform(0, 0.03))
        daemon.stop(signal.SIGKILL)
    daemon = hosts.start(config)
    until(lambda: hosts.rules(kind) == others, "only the rules of others are left")
    until(lambda: standing(hosts) == 0, "nothing stands open in the journal")
    assert "non-zero" not in daemon.text()


@pytest.mark.parametrize("kind", KINDS)
def test_doors_that_are_due_together_are_closed_together(hosts: Lab, kind: str) -> None:
    by_program = "INPUT -s %IP% -p udp -m recent ! --rcheck --name nobody -j ACCEPT"
    late = door(f"{kind} -I {by_program}", cmd_timeout="8", stop_command=f"{kind} -D {by_program}")
    config = hosts.config(ssh(kind, timed=8, steps="7001") + late.replace("[d]", "[late]"))
    sources = [f"10.77.1.{number}" for number in range(1, 81)]
    daemon = hosts.start(config)
    for source in sources:
        knock_as(hosts, source, 7001)
    knock_as(hosts, "10.77.1.1", 7000)
    until(lambda: len(hosts.rules(kind)) == len(sources) + 1, "all rules are there")
    daemon.stop()
    hosts.server.run(kind, *f"-D INPUT -s {sources[7]} -p tcp --dport 22 -j ACCEPT".split())
    other = "-A INPUT -s 10.77.2.1/32 -p tcp -m tcp --dport 22 -j ACCEPT"
    hosts.server.run(kind, *other.split())
    time.sleep(8)  # it is the daemon's absence that is tested
    daemon = hosts.start(config)
    until(lambda: hosts.rules(kind) == [other], "all that is ours is gone")
    until(lambda: standing(hosts) == 0, "nothing stands open in the journal")
    text = daemon.text()
    assert text.count("openSSH: command timeout") == len(sources) - 1
    assert f"{sources[7]}: openSSH: command timeout" not in text
    assert text.count("late: command timeout") == 1
    assert "non-zero" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_door_that_a_rule_closes_is_closed_by_the_next_daemon(hosts: Lab, kind: str) -> None:
    rule = "INPUT -s %IP% -p tcp --dport 22 -j DROP"
    hosts.server.run(kind, *f"-A {rule.replace('%IP%', CLIENT_4)}".split())
    closing = f"{kind} -A {rule}"
    config = hosts.config(door(f"{kind} -D {rule}", cmd_timeout="3", stop_command=closing))
    daemon = hosts.start(config)
    hosts.knock(7000)
    until(lambda: not hosts.rules(kind), "the rule is gone")
    daemon = restart(hosts, config, daemon, signal.SIGTERM)
    daemon.wait_for("command timeout")
    until(lambda: hosts.rules(kind), "the rule is there again")


def journal(hosts: Lab) -> Path:
    (path,) = (hosts.folder / "state").glob("doors-*.sqlite")
    return path


def standing(hosts: Lab) -> int:
    copy = hosts.folder / "copy.sqlite"
    for suffix in ("", "-wal"):
        source = Path(f"{journal(hosts)}{suffix}")
        if source.exists():
            Path(f"{copy}{suffix}").write_bytes(source.read_bytes())
    with closing(sqlite3.connect(copy)) as database:
        query = "SELECT count(*) FROM openings WHERE state != 'closed'"
        return int(database.execute(query).fetchone()[0])


@pytest.mark.parametrize("kept", [True, False])
def test_after_a_reboot_a_stale_door_is_closed_or_forgotten(hosts: Lab, kept: bool) -> None:
    config = hosts.config(ssh("iptables-nft", timed=600))
    daemon = hosts.start(config)
    hosts.knock(7000, 8000, 9000)
    until(lambda: hosts.rules("iptables-nft"), "the rule is there")
    daemon.stop()
    with closing(sqlite3.connect(journal(hosts), isolation_level=None)) as database:
        database.execute("UPDATE openings SET boot = 'another', opened = opened - 1000")
    if not kept:
        hosts.server.run("iptables-nft", "-F")
    daemon = hosts.start(config)
    until(lambda: standing(hosts) == 0, "the door is dealt with")
    assert hosts.rules("iptables-nft") == []
    assert ("command timeout" in daemon.text()) is kept
    assert "non-zero" not in daemon.text()


def knocks_open(hosts: Lab, daemon: Running, host: str = SERVER_4) -> None:
    """Knock until it is heard: links take a moment to come up."""
    before = daemon.text().count("OPEN SESAME")

    def heard() -> bool:
        with hosts.client.inside(), socket.socket() as knocker:
            knocker.setblocking(False)
            knocker.connect_ex((host, 7000))
        return daemon.text().count("OPEN SESAME") > before

    until(heard, "a knock opens")


def cable(hosts: Lab, name: str, number: int) -> str:
    """A further cable between the two, and the server's address on it."""
    hosts.server.ip(
        *("link", "add", name, "type", "veth"),
        *("peer", "name", f"c-{name}", "netns", hosts.client.name),
    )
    hosts.server.ip("addr", "add", f"10.78.{number}.1/24", "dev", name)
    hosts.client.ip("addr", "add", f"10.78.{number}.2/24", "dev", f"c-{name}")
    hosts.server.ip("link", "set", name, "up")
    hosts.client.ip("link", "set", f"c-{name}", "up")
    return f"10.78.{number}.1"


def start(hosts: Lab, *options: str, text: str = "") -> Running:
    """The daemon without -i, unless ``options`` say so."""
    config = hosts.config(text + door("true"))
    settings = ["--settings", str(hosts.folder / "pyknockd.yaml")]
    words = [sys.executable, "-m", "pyknockd", "-v", "-c", str(config), *settings, *options]
    return hosts.spawn(words)


def test_a_missing_interface_is_waited_for(hosts: Lab) -> None:
    daemon = start(hosts, "-i", "late0")
    daemon.wait_for("there is no interface late0")
    knocks_open(hosts, daemon, cable(hosts, "late0", 1))
    assert daemon.text().count("there is no interface late0") == 1
    assert "listening on late0 now" in daemon.lines()


def test_an_interface_that_is_made_again_is_listened_on_again(hosts: Lab) -> None:
    address = cable(hosts, "again0", 1)
    daemon = start(hosts, "-i", "again0")
    knocks_open(hosts, daemon, address)
    hosts.server.ip("link", "del", "again0")
    knocks_open(hosts, daemon, cable(hosts, "again0", 1))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["-i", f"{INTERFACE},second0"], ""),
        ([], f"[options]\nInterface = {INTERFACE}, second0\n"),
        (["-i", "any"], ""),
    ],
)
def test_several_interfaces_are_listened_on_also_those_that_come_later(
    hosts: Lab, options: list[str], text: str
) -> None:
    daemon = start(hosts, *options, text=text)
    daemon.wait_for("listening on")
    knocks_open(hosts, daemon)
    knocks_open(hosts, daemon, cable(hosts, "second0", 2))


def test_a_knock_on_several_interfaces_is_heard_once(hosts: Lab) -> None:
    daemon = start(hosts, "-i", "any")
    daemon.wait_for("starting up")
    hosts.knock(7000)
    hosts.knock(7000)
    daemon.wait_for("OPEN SESAME", times=2)
    assert daemon.text().count("Stage 1") == 2


def test_without_a_name_the_interface_of_the_default_route_is_taken(hosts: Lab) -> None:
    cable(hosts, "second0", 2)
    hosts.server.ip("route", "add", "default", "via", "10.78.2.2")
    daemon = start(hosts)
    daemon.wait_for("starting up, listening on second0")
    knocks_open(hosts, daemon, "10.78.2.1")


def test_eth0_is_taken_where_it_exists_as_ever(hosts: Lab) -> None:
    address = cable(hosts, "eth0", 3)
    hosts.server.ip("route", "add", "default", "via", "10.77.0.2")
    daemon = start(hosts)
    daemon.wait_for("starting up, listening on eth0")
    knocks_open(hosts, daemon, address)


def test_the_settings_name_interfaces_too(hosts: Lab) -> None:
    (hosts.folder / "pyknockd.yaml").write_text(f"interfaces: [{INTERFACE}]\n")
    daemon = start(hosts)
    daemon.wait_for(f"starting up, listening on {INTERFACE}")
    knocks_open(hosts, daemon)


def test_a_command_that_hangs_is_told_and_gives_up_its_turn(hosts: Lab, tmp_path: Path) -> None:
    (tmp_path / "pyknockd.yaml").write_text("limits:\n  hung_seconds: 1\n")
    text = "[hang]\nsequence = 6000\ncommand = exec sleep 987\n" + door("true")
    daemon = hosts.start(text)
    hosts.knock(6000)
    daemon.wait_for("hang: running command")
    hosts.knock(7000)
    daemon.wait_for("hang: still running after 1 seconds, no longer waited for: exec sleep 987")
    daemon.wait_for("d: running command: true")
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 5
    subprocess.run(["pkill", "-f", "^sleep 987$"], check=True)


def test_no_more_commands_hang_than_may_run_at_once(hosts: Lab, tmp_path: Path) -> None:
    (tmp_path / "pyknockd.yaml").write_text("limits:\n  hung_seconds: 1\n  commands: 3\n")
    script = tmp_path / "hangs"
    script.write_text(f"#!/bin/sh\nsleep 985 & echo $! >>{tmp_path}/pids\nwait\n")
    script.chmod(0o755)
    daemon = hosts.start(door(f"{script} %IP%"))
    for number in range(9):
        knock_as(hosts, f"10.77.3.{number + 1}", 7000)
    daemon.wait_for("no longer waited for", times=9)
    daemon.wait_for("d: killed, since too many commands do not end", times=6)
    daemon.wait_for("waits for 1 s now: as many commands run already as may at once")

    def alive() -> list[int]:
        pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
        return [pid for pid in pids if is_alive(pid)]

    # What a killed script has started ends with it.
    until(lambda: len(alive()) == 3, "three are left")
    for pid in alive():
        os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def full_disk(hosts: Lab, folder: Path) -> Callable[[str], list[str]]:
    """Words that run a shell command with ``folder`` a file system of one page."""
    folder.mkdir(exist_ok=True)
    mount = f"mount -t tmpfs -o size=4k,mode=755 none {folder} && head -c 4096 /dev/zero > {folder}/filler"
    return lambda command: ["unshare", "-m", "sh", "-c", f"{mount}; {command}"]


@pytest.fixture
def freezable(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which can be frozen: whoever writes there waits."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    image.write_bytes(b"")
    os.truncate(image, 16 << 20)
    folder.mkdir()
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, folder], check=False)
    if mounted.returncode:
        pytest.skip("this machine mounts no file as a disk, which is to be frozen")
    folder.chmod(0o700)
    try:
        yield folder
    finally:
        subprocess.run(["fsfreeze", "-u", folder], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["umount", "-l", folder], check=True)


def test_while_the_disk_hangs_doors_open_and_close_all_the_same(
    hosts: Lab, freezable: Path
) -> None:
    text = f"[options]\nLogFile = {freezable}/log\n" + door("echo opens-%IP%", cmd_timeout="1")
    config = hosts.config(text + "stop_command = echo closes-%IP%\n")
    options = ["-v", "-i", INTERFACE, "-c", str(config), "--settings", "/dev/null"]
    words = [sys.executable, "-m", "pyknockd", *options]
    daemon = hosts.spawn(["env", f"STATE_DIRECTORY={freezable}/state", *words])
    daemon.wait_for("starting up")
    subprocess.run(["fsfreeze", "-f", freezable], check=True)
    for count in (1, 2, 3):
        hosts.knock(7000)
        daemon.wait_for("opens-10.77.0.2", times=count)
        daemon.wait_for("closes-10.77.0.2", times=count)
    daemon.wait_for("the journal's disk does not answer, doors do not wait for it")
    subprocess.run(["fsfreeze", "-u", freezable], check=True)
    daemon.wait_for("the journal's disk answers again")
    assert daemon.stop() == 0
    [journal] = (freezable / "state").glob("*.sqlite")
    with closing(sqlite3.connect(journal)) as database:
        rows = database.execute("SELECT state FROM openings").fetchall()
    assert rows[:2] == [("closed",)] * 2
    assert len(rows) == 3
    assert (freezable / "log").read_text().count("OPEN SESAME") == 3


def test_a_disk_that_hangs_at_the_start_keeps_no_door_shut(hosts: Lab, freezable: Path) -> None:
    settings = hosts.folder / "settings.yaml"
    settings.write_text("last_good: true\n")
    (freezable / "state").mkdir(mode=0o700)
    config = hosts.config(door("echo opens-%IP%"))
    options = ["-v", "-i", INTERFACE, "-c", str(config), "--settings", str(settings)]
    words = [sys.executable, "-m", "pyknockd", *options]
    subprocess.run(["fsfreeze", "-f", freezable], check=True)
    daemon = hosts.spawn(["env", f"STATE_DIRECTORY={freezable}/state", *words])
    daemon.wait_for("starting up")
    hosts.knock(7000)
    daemon.wait_for("opens-10.77.0.2")
    assert f"the disk of {freezable}/state does not answer" in daemon.text()
    assert "the last good file cannot be kept: the disk does not answer" in daemon.text()
    subprocess.run(["fsfreeze", "-u", freezable], check=True)
    daemon.wait_for("the journal is there now")
    assert daemon.stop() == 0


def test_with_a_full_disk_doors_open_and_close_all_the_same(hosts: Lab, tmp_path: Path) -> None:
    state = tmp_path / "state"
    config = hosts.config(
        f"[options]\nLogFile = {state}/log\n"
        + ssh("iptables-nft", timed=1).replace("[options]", "")
    )
    command = f"exec {sys.executable} -m pyknockd -v -i {INTERFACE} -c {config}"
    daemon = hosts.spawn(full_disk(hosts, state)(command))
    daemon.wait_for("starting up")
    for times in (1, 2):
        hosts.knock(7000, 8000, 9000)
        daemon.wait_for("running command", times=2 * times)
    until(lambda: not hosts.rules("iptables-nft"), "no rule is left")
    assert daemon.text().count("journal") == 1, daemon.text()


def test_an_unwritable_state_folder_is_told_once(hosts: Lab, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    daemon = hosts.start(ssh("iptables-nft", timed=1))
    hosts.knock(7000, 8000, 9000)
    daemon.wait_for("command timeout")
    until(lambda: not hosts.rules("iptables-nft"), "no rule is left")
    assert daemon.text().count("open doors are not remembered") == 1


@pytest.mark.parametrize("shift", ["-3600", "+3600"])
def test_a_clock_that_is_set_changes_nothing(hosts: Lab, tmp_path: Path, shift: str) -> None:
    found = list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        pytest.skip("needs libfaketime: the README's test command installs it")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    config = hosts.config(ssh("iptables-nft", timed=1))
    environment = {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    pairs = [f"{key}={value}" for key, value in environment.items()]
    # Not as a program, which would keep nothing of its environment, the library's clock included.
    script = "import sys; from pyknockd.cli import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", script, "-v", "-i", INTERFACE, "-c", str(config)]
    daemon = hosts.spawn(["env", *pairs, *words])
    daemon.wait_for("starting up")
    hosts.knock(7000, 8000)
    daemon.wait_for("Stage 2")
    clock.write_text(shift)
    hosts.knock(9000)
    daemon.wait_for("OPEN SESAME")
    clock.write_text("+0")
    daemon.wait_for("command timeout")
    until(lambda: not hosts.rules("iptables-nft"), "the rule is gone")


def test_the_service_manager_is_told_how_it_fares(hosts: Lab, tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(PATIENCE)
        config = hosts.config(ssh("iptables-nft", timed=2))
        pairs = [f"NOTIFY_SOCKET={path}", "WATCHDOG_USEC=400000"]
        words = [sys.executable, "-m", "pyknockd", "-v", "-i", INTERFACE, "-c", str(config)]
        daemon = hosts.spawn(["env", *pairs, *words])
        told: list[str] = []

        def hear(text: str) -> None:
            deadline = time.monotonic() + PATIENCE  # it goes on feeding the watchdog
            while not any(text in message for message in told):
                assert time.monotonic() < deadline, f"waited for {text}, heard {told[-5:]}"
                told.append(manager.recv(4096).decode())

        hear("READY=1")
        assert told == ["READY=1"]
        hosts.knock(7000, 8000, 9000)
        hear(f"STATUS=1 open: openSSH for {CLIENT_4} until ")
        told.clear()
        hear("STATUS=0 doors open")
        assert sum(message == "WATCHDOG=1" for message in told) >= 4
        told.clear()
        daemon.process.send_signal(signal.SIGHUP)
        hear("RELOADING=1\nMONOTONIC_USEC=")
        hear("READY=1")
        daemon.stop()
        hear("STOPPING=1")


def test_the_status_counts_doors_that_nothing_will_close(hosts: Lab, tmp_path: Path) -> None:
    """As far as is known what a command does: a rule that stays counts, a script does not."""
    rule = "INPUT -s %IP% -p tcp --dport 22 -j ACCEPT"
    config = hosts.config(
        f"[script]\nsequence = 7000\ncommand = exit 0\n"
        f"[rule]\nsequence = 7001\ncommand = iptables-nft -I {rule}\n"
        f"[shut]\nsequence = 7002\ncommand = iptables-nft -D {rule}\n"
        f"[timed]\nsequence = 7003\ncommand = exit 0\ncmd_timeout = 600\nstop_command = exit 0\n"
    )
    words = [sys.executable, "-m", "pyknockd", "-v", "-i", INTERFACE, "-c", str(config)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)

        def hear(text: str) -> None:
            while not (heard := manager.recv(4096).decode()).startswith(text):
                assert not heard.startswith("STATUS="), f"waited for {text}, heard {heard}"

        hosts.spawn(["env", f"NOTIFY_SOCKET={tmp_path}/notify", *words])
        hear("STATUS=0 doors open")
        hosts.knock(7000, 7001)
        hear(f"STATUS=1 open: rule for {CLIENT_4}")
        hosts.knock(7003)
        hear(f"STATUS=2 open: rule for {CLIENT_4}, timed for {CLIENT_4} until ")
        hosts.knock(7002)
        hear(f"STATUS=1 open: timed for {CLIENT_4} until ")


def test_a_flood_of_first_knocks_keeps_no_honest_client_out(hosts: Lab, tmp_path: Path) -> None:
    text = "[d]\nsequence = 7000,8000,9000\ntcpflags = syn\ncommand = true\n"
    (tmp_path / "pyknockd.yaml").write_text("limits:\n  log_lines: 50\n  attempts: 5000\n")
    daemon = hosts.start(text)
    with hosts.client.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    honest = [f"10.77.200.{n}" for n in range(1, 41)]
    began = time.monotonic()
    for number in range(20_000):
        spoofed = f"10.{128 + number // 65_536}.{number // 256 % 256}.{number % 256}"
        raw.sendto(syn(spoofed, 7000, number), (SERVER_4, 0))
        if number % 500 == 0:
            for port in (7000, 8000, 9000):
                raw.sendto(syn(honest[number // 500], port, number), (SERVER_4, 0))
    raw.close()
    daemon.wait_for("OPEN SESAME", times=len(honest))
    daemon.wait_for("lines about them left out")
    opened = {line.split(":")[0] for line in daemon.lines() if line.endswith("OPEN SESAME")}
    assert opened == set(honest)
    # Each second of the clock that the flood has touched has 50.
    assert daemon.text().count("Stage 1") <= 50 * (time.monotonic() - began + 2)


def test_one_who_knows_the_sequence_fills_no_disk(hosts: Lab) -> None:
    daemon = hosts.start("[d]\nsequence = 7000,8000\ntcpflags = syn\ncommand = true\n")
    with hosts.client.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    began = time.monotonic()
    for number in range(3_000):
        for port in (7000, 8000):
            raw.sendto(syn(CLIENT_4, port, number), (SERVER_4, 0))
    raw.close()
    daemon.wait_for("a flood of openings and commands: ")
    daemon.wait_for("a flood of further knocks: ")
    seconds = time.monotonic() - began + 2
    text = daemon.text()
    assert text.count("OPEN SESAME") + text.count("running command") <= 200 * seconds
    assert text.count("Stage 2") <= 200 * seconds


def test_what_the_kernel_has_no_room_for_is_counted(hosts: Lab) -> None:
    daemon = hosts.start(door("true"))
    daemon.process.send_signal(signal.SIGSTOP)
    with hosts.client.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for number in range(30_000):
        raw.sendto(syn(f"10.90.{number // 250}.{1 + number % 250}", 7000, number), (SERVER_4, 0))
    raw.close()
    daemon.process.send_signal(signal.SIGCONT)
    daemon.wait_for("packets came too fast: the kernel dropped")
    knocks_open(hosts, daemon)


def test_sigterm_while_it_starts_ends_it_in_good_order(hosts: Lab) -> None:
    config = hosts.config(door("true"))
    script = (
        "import os, signal, pyknockd.system.signals as s\n"
        "made = s.Signals.__init__\n"
        "def init(self, wanted):\n"
        "    made(self, wanted)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "s.Signals.__init__ = init\n"
        "from pyknockd.cli import main\n"
        f"raise SystemExit(main(['-i', '{INTERFACE}', '-c', '{config}']))"
    )
    daemon = hosts.spawn([sys.executable, "-c", script])
    assert daemon.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_that_the_admin_made_outlives_a_timed_door(hosts: Lab, kind: str) -> None:
    rule = f"-A INPUT -s {CLIENT_4} -p tcp --dport 22 -j ACCEPT"
    hosts.server.run(kind, *rule.split())
    hosts.server.run(kind, "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "DROP")
    before = hosts.rules(kind)
    daemon = hosts.start(ssh(kind, timed=0) + "[last]\nsequence = 6000\ncommand = true\n")
    hosts.knock(7000, 8000, 9000)
    daemon.wait_for("running command")
    hosts.knock(6000)
    daemon.wait_for("last: running command")
    assert hosts.rules(kind) == before
    assert "command timeout" not in daemon.text()


def test_a_changed_file_leaves_no_door_open(hosts: Lab) -> None:
    config = hosts.config(ssh("iptables-nft", timed=2))
    daemon = hosts.start(config)
    hosts.server.run(
        "iptables-nft", "-A", "INPUT", "-s", CLIENT_4, "-p", "tcp", "--dport", "80", "-j", "ACCEPT"
    )
    before = hosts.rules("iptables-nft")
    hosts.knock(7000, 8000, 9000)
    daemon.wait_for("running command")
    hosts.config(ssh("iptables-nft", timed=2).replace("--dport 22", "--dport 80")).rename(config)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("re-reading")
    hosts.knock(7000, 8000, 9000)
    daemon.wait_for("running command", times=2)
    daemon.wait_for("command timeout")
    until(lambda: hosts.rules("iptables-nft") == before, "only the admin's rule is left")


def test_a_rule_for_everybody_stays_until_the_last_has_had_his_time(hosts: Lab) -> None:
    rule = "INPUT -p tcp --dport 22 -j ACCEPT"
    text = door(f"iptables-nft -I {rule}", cmd_timeout="4", stop_command=f"iptables-nft -D {rule}")
    daemon = hosts.start(text)
    knock_as(hosts, "10.77.0.50", 7000)
    daemon.wait_for("running command")
    time.sleep(1)
    began = time.monotonic()
    knock_as(hosts, "10.77.0.51", 7000)
    daemon.wait_for("10.77.0.51: d: command timeout")
    assert time.monotonic() - began > 3.9
    until(lambda: not hosts.rules("iptables-nft"), "the rule is gone")
    assert "non-zero" not in daemon.text()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors_keep_nothing_from_working(
    hosts: Lab, tmp_path: Path, closed: str
) -> None:
    log, pid_file = tmp_path / "log", tmp_path / "pid"
    config = hosts.config(f"[options]\nLogFile = {log}\nPidFile = {pid_file}\n" + door("true"))
    command = f"exec {sys.executable} -m pyknockd -d -v -i {INTERFACE} -c {config} {closed}"
    assert hosts.spawn(["sh", "-c", command]).process.wait(PATIENCE) == 0
    pid = int(pid_file.read_text())
    os.kill(pid, signal.SIGHUP)
    until(lambda: "re-reading" in log.read_text(), "HUP is heard")
    hosts.knock(7000)
    until(lambda: "OPEN SESAME" in log.read_text(), "a knock is heard")
    os.kill(pid, signal.SIGTERM)
    until(lambda: not Path(f"/proc/{pid}").exists(), "TERM is heard")


def test_a_resolver_that_never_answers_holds_up_the_log_for_seconds_only(hosts: Lab) -> None:
    folder = Path("/etc/netns") / hosts.server.name
    folder.mkdir(parents=True)
    try:
        resolver = "nameserver 10.77.0.77\noptions timeout:30 attempts:5\n"
        (folder / "resolv.conf").write_text(resolver)
        daemon = hosts.start(door("true"), "-l")
        for number in range(20):
            knock_as(hosts, f"10.77.0.{100 + number}", 7000)
        began = time.monotonic()
        daemon.wait_for("OPEN SESAME", times=20)
        assert time.monotonic() - began < 8
    finally:
        (folder / "resolv.conf").unlink()
        folder.rmdir()


def test_looking_for_a_rule_says_nothing(hosts: Lab) -> None:
    daemon = hosts.start(door('iptables-nft -I INPUT -s %IP% -m comment --comment "a b" -j ACCEPT'))
    hosts.knock(7000)
    until(lambda: hosts.rules("iptables-nft"), "the rule is there")
    assert "Bad rule" not in daemon.text()


def test_a_lock_that_is_held_for_long_is_told_and_then_left_to_iptables(
    hosts: Lab, tmp_path: Path
) -> None:
    (tmp_path / "pyknockd.yaml").write_text("limits:\n  hung_seconds: 2\n")
    lock = tmp_path / "lock"
    lock.touch()
    config = hosts.config(door("iptables-legacy -I INPUT -s %IP% -j ACCEPT"))
    options = ["-i", INTERFACE, "--settings", str(tmp_path / "pyknockd.yaml"), "-c", str(config)]
    words = [sys.executable, "-m", "pyknockd", "-v", *options]
    daemon = hosts.spawn(["env", f"XTABLES_LOCKFILE={lock}", *words])
    daemon.wait_for("starting up")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        hosts.knock(7000)
        daemon.wait_for("d: another program holds iptables' lock: waiting")
        daemon.wait_for("d: still running after 2 seconds, no longer waited for")
    # Whoever knocked has been given up by then; the next one gets in.
    daemon.wait_for("10.77.0.2: d: not opened: looking for its rule took too long")
    assert not hosts.rules("iptables-legacy")
    hosts.knock(7000)
    until(lambda: hosts.rules("iptables-legacy"), "it is made, now that the lock is free")


def test_a_fifo_is_refused_where_a_file_belongs(hosts: Lab, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    daemon = hosts.start(f"[d]\none_time_sequences = {fifo}\n")
    daemon.wait_for(f"[d] is disabled: {fifo}: expected a plain file")
    for options in (["-c", str(fifo)], ["--settings", str(fifo)], ["-c", "/dev/zero"]):
        daemon = hosts.start(door("true"), *options, wait=False)
        assert daemon.process.wait(PATIENCE) == 78
        assert "it is no plain file" in daemon.text()


@pytest.mark.parametrize("what", ["fifo", "folder", "missing folder", "link"])
def test_a_log_file_that_cannot_be_opened_keeps_no_door_shut(
    hosts: Lab, tmp_path: Path, what: str
) -> None:
    log = tmp_path / "log"
    if what == "fifo":
        os.mkfifo(log)
    elif what == "folder":
        log.mkdir()
    elif what == "missing folder":
        log = tmp_path / "missing" / "log"
    else:  # laid by another, in a folder where others may write
        tmp_path.chmod(0o777)
        log.symlink_to(tmp_path / "elsewhere")
    daemon = hosts.start(f"[options]\nLogFile = {log}\n" + door("true"))
    assert daemon.text().count(f"cannot open log file {log}: ") == 1
    hosts.knock(7000)
    daemon.wait_for("running command")
    assert not (tmp_path / "elsewhere").exists()


def test_nobody_who_stops_reading_stops_the_daemon(hosts: Lab, tmp_path: Path) -> None:
    log = tmp_path / "log"
    config = hosts.config(f"[options]\nLogFile = {log}\n" + door("true"))
    reader, writer = os.pipe()
    (tmp_path / "pyknockd.yaml").write_text(EVERY_LINE)
    words = [sys.executable, "-m", "pyknockd", "-v", "-i", INTERFACE, "-c", str(config)]
    words += ["--settings", str(tmp_path / "pyknockd.yaml")]
    process = subprocess.Popen([*hosts.server.prefix, *words], stdout=writer, stderr=writer)
    os.close(writer)
    until(lambda: log.exists() and "starting up" in log.read_text(), "it listens")
    for number in range(1500):
        knock_as(hosts, f"10.77.{1 + number // 250}.{1 + number % 250}", 7000)
    until(lambda: log.read_text().count("OPEN SESAME") == 1500, "all doors open")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    os.close(reader)


def test_a_missing_interface_is_told_where_it_is_started(hosts: Lab) -> None:
    config = hosts.config(door("true"))
    daemon = hosts.spawn([sys.executable, "-m", "pyknockd", "-i", "eht0", "-c", str(config)])
    daemon.wait_for("there is no interface eht0")


def test_an_alias_means_its_interface(hosts: Lab) -> None:
    daemon = start(hosts, "-i", f"{INTERFACE}:1")
    daemon.wait_for(f"starting up, listening on {INTERFACE}")
    knocks_open(hosts, daemon)


def test_no_name_at_all_is_refused(hosts: Lab) -> None:
    daemon = start(hosts, "-i", ",")
    assert daemon.process.wait(PATIENCE) == 78
    assert "there is no name in the interface ','" in daemon.text()


def test_no_flood_of_signals_drowns_a_term(hosts: Lab) -> None:
    daemon = hosts.start(door("true"))
    for _ in range(5000):
        daemon.process.send_signal(signal.SIGHUP)
    assert daemon.stop() == 0


def test_an_opening_that_hangs_is_closed_all_the_same(hosts: Lab, tmp_path: Path) -> None:
    (tmp_path / "pyknockd.yaml").write_text("limits:\n  hung_seconds: 1\n")
    daemon = hosts.start(door("exec sleep 986", cmd_timeout="1", stop_command="echo closed"))
    hosts.knock(7000)
    daemon.wait_for("no longer waited for")
    daemon.wait_for("d: closed\n")
    assert daemon.text().count("command timeout") == 1
