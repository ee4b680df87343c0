"""The whole way, on real interfaces and real tables: knocks go in, ports open and close."""

from __future__ import annotations

import fcntl
import os
import random
import re
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.support.doors import EVERY_LINE, KINDS, door, knock_as, ssh, syn
from tests.support.lab import (
    CLIENT_4,
    CLIENT_6,
    INTERFACE,
    PATIENCE,
    SERVER_4,
    SERVER_6,
    Lab,
    until,
)

CLIENT = (sys.executable, "-m", "pyknockd.client")


def shut(hosts: Lab, kind: str) -> None:
    for program in (kind, kind.replace("iptables", "ip6tables")):
        hosts.server.run(program, "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "DROP")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("host", [SERVER_4, SERVER_6])
def test_a_knock_opens_the_port_and_the_reverse_knock_closes_it(
    hosts: Lab, kind: str, host: str
) -> None:
    shut(hosts, kind)
    program = kind.replace("iptables", "ip6tables") if ":" in host else kind
    before = hosts.rules(program)
    with hosts.listen(22, host):
        daemon = hosts.start(ssh(kind))
        assert not hosts.reaches(22, host)
        hosts.knock(7000, 8000, 9000, host=host)
        until(lambda: hosts.reaches(22, host), "port 22 opens")
        hosts.knock(9000, 8000, 7000, host=host)
        until(lambda: hosts.rules(program) == before, "the rule is gone")
        assert not hosts.reaches(22, host)
    assert daemon.stop() == 0
    source = CLIENT_6 if ":" in host else CLIENT_4
    assert [line for line in daemon.lines() if not line.startswith("firewall: ")] == [
        f"starting up, listening on {INTERFACE}",
        *(f"{source}: openSSH: Stage {stage}" for stage in (1, 2, 3)),
        f"{source}: openSSH: OPEN SESAME",
        f"openSSH: running command: {program} -I INPUT -s {source} -p tcp --dport 22 -j ACCEPT",
        *(f"{source}: closeSSH: Stage {stage}" for stage in (1, 2, 3)),
        f"{source}: closeSSH: OPEN SESAME",
        f"closeSSH: running command: {program} -D INPUT -s {source} -p tcp --dport 22 -j ACCEPT",
        "shutting down",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_timed_door_closes_by_itself(hosts: Lab, kind: str) -> None:
    daemon = hosts.start(ssh(kind, timed=1))
    hosts.knock(7000, 8000, 9000)
    until(lambda: hosts.rules(kind), "the rule is there")
    until(lambda: not hosts.rules(kind), "the rule is gone")
    assert daemon.lines()[-2:] == [
        f"{CLIENT_4}: openSSH: command timeout",
        f"openSSH: running command: {kind} -D INPUT -s {CLIENT_4} -p tcp --dport 22 -j ACCEPT",
    ]


def test_knocks_in_the_wrong_order_open_nothing(hosts: Lab) -> None:
    daemon = hosts.start(ssh("iptables-nft", timed=5))
    hosts.knock(7000, 9000, 8000)
    hosts.knock(7000, 8000, 9000)
    daemon.wait_for("OPEN SESAME")
    assert daemon.text().count("Stage 1") == 2
    assert daemon.text().count("OPEN SESAME") == 1


def test_a_knock_that_comes_too_late_opens_nothing(hosts: Lab) -> None:
    daemon = hosts.start(ssh("iptables-nft").replace("seq_timeout = 5", "seq_timeout = 1"))
    hosts.knock(7000, 8000)
    daemon.wait_for(f"{CLIENT_4}: openSSH: sequence timeout (stage 2)")
    hosts.knock(9000)
    daemon.wait_for("closeSSH: Stage 1")
    assert "OPEN SESAME" not in daemon.text()


def test_udp_and_tcp_mix_in_one_sequence(hosts: Lab) -> None:
    daemon = hosts.start(ssh("iptables-nft", timed=5, steps="7000:udp,8000:tcp,9000:udp"))
    hosts.knock("7000:udp", 8000, "9000:udp")
    daemon.wait_for("OPEN SESAME")


def test_two_hundred_interleaved_sources_all_get_in(hosts: Lab, tmp_path: Path) -> None:
    (tmp_path / "pyknockd.yaml").write_text(EVERY_LINE)
    sources = [f"10.77.{1 + n // 100}.{1 + n % 100}" for n in range(200)]
    knocks = [(source, port) for source in sources for port in (7000, 8000, 9000)]
    shuffled = random.Random(7).sample(sources * 3, len(knocks))
    waiting = {source: iter((7000, 8000, 9000)) for source in sources}
    text = ssh("iptables-nft", timed=40).replace("seq_timeout = 5", "seq_timeout = 60")
    daemon = hosts.start(text)
    with hosts.client.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for number, source in enumerate(shuffled):
        raw.sendto(syn(source, next(waiting[source]), number), (SERVER_4, 0))
    raw.close()
    daemon.wait_for("OPEN SESAME", times=200)
    until(lambda: len(hosts.rules("iptables-nft")) == 200, "200 rules")
    assert set(sources) == {
        line.split(":")[0] for line in daemon.lines() if line.endswith("OPEN SESAME")
    }
    until(lambda: not hosts.rules("iptables-nft"), "no rule is left")


def test_knocks_on_the_loopback_are_heard_once(hosts: Lab) -> None:
    text = "[d]\nsequence = 7000,7000\ntcpflags = syn\ncommand = true\n"
    words = [sys.executable, "-m", "pyknockd", "-i", "lo", "-v", "-c", str(hosts.config(text))]
    daemon = hosts.spawn(words)
    daemon.wait_for("starting up")
    hosts.server.run(*CLIENT, "127.0.0.1", "7000")
    hosts.server.run(*CLIENT, "::1", "7000")
    daemon.wait_for("Stage 1", times=2)
    assert "Stage 2" not in daemon.text()
    hosts.server.run(*CLIENT, "127.0.0.1", "7000")
    daemon.wait_for("127.0.0.1: d: OPEN SESAME")


def test_a_command_with_shell_syntax_goes_to_the_shell(hosts: Lab, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    hosts.start(door(f"echo %IP% | tr . - > {mark}; echo twice >> {mark}"))
    hosts.knock(7000)
    until(lambda: mark.exists() and mark.read_text() == "10-77-0-2\ntwice\n", "the mark is set")


def test_a_failing_command_is_told_with_its_status(hosts: Lab) -> None:
    daemon = hosts.start(door("sh -c 'exit 3'", cmd_timeout="0", stop_command="/no/such/program"))
    hosts.knock(7000)
    daemon.wait_for("d: command returned non-zero status code (127)")
    assert "d: command returned non-zero status code (3)" in daemon.lines()
    hosts.knock(7000)
    daemon.wait_for("OPEN SESAME", times=2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_that_iptables_refuses_is_told_as_iptables_tells_it(hosts: Lab, kind: str) -> None:
    daemon = hosts.start(door(f"{kind} -D INPUT -s %IP% -j ACCEPT"))
    hosts.knock(7000)
    daemon.wait_for("d: command returned non-zero status code (1)")


def test_a_missing_iptables_is_said_when_a_door_needs_it(hosts: Lab) -> None:
    daemon = hosts.start(door("/nowhere/sbin/iptables -I INPUT -s %IP% -j ACCEPT"))
    hosts.knock(7000)
    daemon.wait_for("d: command returned non-zero status code (127)")
    assert "d: cannot run /nowhere/sbin/iptables: no such program" in daemon.lines()


def test_a_command_that_waits_for_another_says_so(hosts: Lab, tmp_path: Path) -> None:
    go = tmp_path / "go"
    command = f"until [ -e {go} ]; do sleep 0.01; done"
    daemon = hosts.start(door(command))
    hosts.knock(7000)
    daemon.wait_for("d: running command")
    hosts.knock(7000)
    said = f"d: waits for 1 s now: its command before has not ended: {command}"
    daemon.wait_for(f"{CLIENT_4}: {said}")
    assert daemon.text().count("d: running command") == 1
    go.touch()
    daemon.wait_for("d: running command", times=2)


def test_commands_of_one_source_at_one_door_run_in_order(hosts: Lab, tmp_path: Path) -> None:
    trace, go = tmp_path / "trace", tmp_path / "go"
    command = (
        f"echo begins >> {trace}; while [ ! -e {go} ]; do sleep 0.01; done; echo ends >> {trace}"
    )
    daemon = hosts.start(door(command))
    hosts.knock(7000)
    until(trace.exists, "the first runs")
    hosts.knock(7000)
    daemon.wait_for("OPEN SESAME", times=2)
    assert trace.read_text() == "begins\n"
    go.touch()
    until(lambda: trace.read_text().count("ends") == 2, "both have run")
    assert trace.read_text() == "begins\nends\n" * 2


def test_doors_of_one_source_do_not_wait_for_each_other(hosts: Lab, tmp_path: Path) -> None:
    go = tmp_path / "go"
    wait = f"while [ ! -e {go} ]; do sleep 0.01; done; echo slow-done"
    slow = door(wait).replace("[d]", "[slow]")
    daemon = hosts.start(slow + "[quick]\nsequence = 7001\ncommand = echo quick-done\n")
    hosts.knock(7000, 7001)
    daemon.wait_for("quick: quick-done\n")
    assert "slow: slow-done\n" not in daemon.text()
    go.touch()
    daemon.wait_for("slow: slow-done\n")


def test_a_hanging_command_holds_up_no_other_source(hosts: Lab) -> None:
    hosts.client.ip("addr", "add", "10.77.0.3/24", "dev", "client0")
    daemon = hosts.start(door("test %IP% = 10.77.0.2 && sleep 600; echo done-%IP%"))
    hosts.knock(7000)
    daemon.wait_for("running command")
    hosts.client.ip("addr", "del", f"{CLIENT_4}/24", "dev", "client0")
    hosts.client.ip("addr", "add", "10.77.0.3/24", "dev", "client0")
    hosts.knock(7000)
    daemon.wait_for("done-10.77.0.3")
    assert daemon.stop() == 0
    hosts.server.run("pkill", "-f", "sleep 600")


def test_at_most_sixty_four_commands_run_at_once(hosts: Lab, tmp_path: Path) -> None:
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    daemon = hosts.start(door(f"echo x >> {trace}; until [ -e {gate} ]; do sleep 0.05; done"))
    with hosts.client.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for number in range(80):
        raw.sendto(syn(f"10.77.1.{number + 1}", 7000, number), (SERVER_4, 0))
    raw.close()
    daemon.wait_for("OPEN SESAME", times=80)
    until(lambda: trace.exists() and len(trace.read_text().split()) == 64, "64 have begun")
    assert daemon.text().count("running command") == 64
    gate.touch()
    until(lambda: len(trace.read_text().split()) == 80, "all have begun")


def test_what_a_command_prints_is_told_with_the_name_of_its_door(hosts: Lab) -> None:
    daemon = hosts.start(
        door("echo one; printf two >&2; exit 3")
        + "[rule]\nsequence = 6000\ncommand = iptables-nft -I INPUT -s %IP% --dport 22 -j ACCEPT\n"
    )
    hosts.knock(7000)
    daemon.wait_for("d: command returned non-zero status code (3)")
    assert daemon.lines()[-3:-1] == ["d: one", "d: two"]
    hosts.knock(6000)
    daemon.wait_for("rule: command returned non-zero status code (2)")
    assert re.search(r"^rule: iptables.*--dport", daemon.text(), re.MULTILINE)


def test_what_a_command_has_left_behind_may_print_later(hosts: Lab, tmp_path: Path) -> None:
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    daemon = hosts.start(
        door(f"(until [ -e {gate} ]; do sleep 0.05; done; echo late; echo done > {trace}) &")
    )
    hosts.knock(7000)
    daemon.wait_for("running command")
    gate.touch()
    daemon.wait_for("d: late")
    until(trace.exists, "the one left behind has lived to do more")


def test_a_command_that_prints_without_end_keeps_nobody_waiting(hosts: Lab, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    daemon = hosts.start(
        door(f"echo $$ > {pid}; exec yes") + "[other]\nsequence = 6000\ncommand = true\n"
    )
    hosts.knock(7000)
    daemon.wait_for("a flood of what commands print: ")
    before = daemon.text().count("d: y")
    began = time.monotonic()
    for number in range(3):
        hosts.knock(6000)
        daemon.wait_for("other: OPEN SESAME", times=number + 1)
    seconds = time.monotonic() - began
    assert seconds < 10
    assert daemon.text().count("d: y") - before <= 200 * (seconds + 2)
    os.kill(int(pid.read_text()), signal.SIGKILL)
    daemon.wait_for("d: command returned non-zero status code (137)")


def test_a_held_firewall_lock_delays_the_rule_and_not_the_daemon(hosts: Lab) -> None:
    daemon = hosts.start(
        ssh("iptables-legacy", timed=60) + "[other]\nsequence = 6000\ncommand = true\n"
    )
    hosts.knock(7000, 8000, 9000)
    until(lambda: hosts.rules("iptables-legacy"), "python-iptables is loaded")
    with open("/run/xtables.lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        knock_as(hosts, "10.77.0.50", 7000, 8000, 9000)
        daemon.wait_for("running command", times=2)
        hosts.knock(6000)
        daemon.wait_for("other: OPEN SESAME")
    until(lambda: len(hosts.rules("iptables-legacy")) == 2, "the second source's rule")


def test_stopping_closes_the_timed_doors_if_it_is_told_to(hosts: Lab, tmp_path: Path) -> None:
    (tmp_path / "pyknockd.yaml").write_text("timers: close\n")
    daemon = hosts.start(ssh("iptables-nft", timed=600))
    hosts.knock(7000, 8000, 9000)
    until(lambda: hosts.rules("iptables-nft"), "the rule is there")
    assert daemon.stop() == 0
    assert hosts.rules("iptables-nft") == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_door_that_is_open_already_gets_more_time_and_no_second_rule(
    hosts: Lab, kind: str
) -> None:
    daemon = hosts.start(ssh(kind, timed=4))
    hosts.knock(7000, 8000, 9000)
    until(lambda: hosts.rules(kind), "the rule is there")
    began = time.monotonic()
    for times in (2, 3):
        time.sleep(0.8)
        hosts.knock(7000, 8000, 9000)
        daemon.wait_for("running command", times=times)
        assert len(hosts.rules(kind)) == 1
    daemon.wait_for("command timeout")
    until(lambda: not hosts.rules(kind), "one closing closes it")
    assert time.monotonic() - began > 5.2
    assert daemon.text().count("command timeout") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_that_opens_nothing_is_told(hosts: Lab, kind: str) -> None:
    hosts.server.run(kind, "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "DROP")
    text = door(f"{kind} -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT")
    daemon = hosts.start(text)
    hosts.knock(7000)
    daemon.wait_for("opens nothing")
    (line,) = [line for line in daemon.lines() if "opens nothing" in line]
    assert "ACCEPT" in line
    assert "-A INPUT -p tcp -m tcp --dport 22 -j DROP" in line
    checked = hosts.spawn(
        [sys.executable, "-m", "pyknockd", "--check", "-c", str(hosts.config(text))]
    )
    assert checked.process.wait(PATIENCE) == 0
    assert "opens nothing" in checked.text()


def test_int_ends_it_with_status_0(hosts: Lab) -> None:
    daemon = hosts.start(ssh("iptables-nft"))
    assert daemon.stop(signal.SIGINT) == 0
    assert daemon.lines()[-1] == "shutting down"


def test_hup_takes_over_a_changed_file(hosts: Lab) -> None:
    config = hosts.config(door("true"))
    daemon = hosts.start(config)
    config.write_text(door("true").replace("7000", "7500"))
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for(f"re-reading config file: {config}")
    hosts.knock(7000, 7500)
    daemon.wait_for("OPEN SESAME")
    assert daemon.text().count("Stage 1") == 1


def test_no_knock_is_lost_while_the_file_is_read_again(hosts: Lab, tmp_path: Path) -> None:
    (tmp_path / "pyknockd.yaml").write_text(EVERY_LINE)
    config = hosts.config(door("true"))
    daemon = hosts.start(config)
    for number in range(300):
        if number % 10 == 0:
            extra = f"[more]\nsequence = {9000 + number}\ncommand = true\n"
            # In one step: a file that is half written would be a file without this door.
            hosts.config(door("true") + extra).rename(config)
            daemon.process.send_signal(signal.SIGHUP)
        knock_as(hosts, f"10.77.{1 + number // 250}.{1 + number % 250}", 7000)
        if number % 10 == 9:
            daemon.wait_for("re-reading config file", times=number // 10 + 1)
    daemon.wait_for("d: OPEN SESAME", times=300)


def test_hup_with_a_mistake_in_the_file_keeps_the_old_doors(hosts: Lab) -> None:
    config = hosts.config(door("true"))
    daemon = hosts.start(config)
    config.write_text("[d]\nsequense = 7500\nsequence = 7600:tpc\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("the doors stay as they were")
    assert any(line.startswith(f"{config}:2: ") for line in daemon.lines())
    assert any(line.startswith(f"{config}:3: ") for line in daemon.lines())
    hosts.knock(7000)
    daemon.wait_for("OPEN SESAME")


def test_an_address_added_later_is_heard(hosts: Lab) -> None:
    daemon = hosts.start(door("true"))
    hosts.server.ip("addr", "add", "10.77.0.9/24", "dev", INTERFACE)

    def heard() -> bool:
        hosts.knock(7000, host="10.77.0.9")
        return "OPEN SESAME" in daemon.text()

    until(heard, "a knock at the new address opens")


def test_broken_and_foreign_packets_are_ignored(hosts: Lab) -> None:
    daemon = hosts.start(door("true"))
    rng = random.Random(11)
    with hosts.client.inside():
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind(("client0", 0))
    mac = bytes.fromhex(
        hosts.server.run("cat", f"/sys/class/net/{INTERFACE}/address").replace(":", "")
    )
    good = mac + bytes(6) + b"\x08\x00" + syn("10.77.0.66", 7001, 5)
    for _ in range(3000):
        frame = bytearray(good)
        for _ in range(rng.randrange(8)):
            frame[rng.randrange(14, len(frame))] = rng.randrange(256)
        raw.send(frame[: rng.randrange(14, len(frame) + 1)])
    raw.close()
    hosts.knock(7000)
    daemon.wait_for(f"{CLIENT_4}: d: OPEN SESAME")
    assert "error" not in daemon.text()


def test_a_link_that_goes_down_and_up_is_survived(hosts: Lab) -> None:
    daemon = hosts.start(door("true"))
    hosts.client.ip("link", "set", "client0", "down")
    hosts.client.ip("link", "set", "client0", "up")
    hosts.server.ip("link", "set", INTERFACE, "down")
    hosts.server.ip("link", "set", INTERFACE, "up")

    def heard() -> bool:
        with hosts.client.inside(), socket.socket() as knocker:
            knocker.setblocking(False)
            knocker.connect_ex((SERVER_4, 7000))
        return "OPEN SESAME" in daemon.text()

    until(heard, "a knock after the link is up again opens")


def test_nothing_is_left_behind(hosts: Lab) -> None:
    daemon = hosts.start(ssh("iptables-legacy", timed=1))
    descriptors = Path(f"/proc/{daemon.process.pid}/fd")
    hosts.knock(7000, 8000, 9000)
    daemon.wait_for("command timeout")
    until(lambda: not hosts.rules("iptables-legacy"), "the first door is closed")
    open_before = sorted(os.readlink(path) for path in descriptors.iterdir())
    for number in range(5):
        knock_as(hosts, f"10.77.0.{100 + number}", 7000, 8000, 9000)
    daemon.wait_for("command timeout", times=6)
    until(lambda: not hosts.rules("iptables-legacy"), "no rule is left")
    assert sorted(os.readlink(path) for path in descriptors.iterdir()) == open_before
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
    until(lambda: not children.read_text(), "no process is left")


def test_a_retransmitted_knock_does_not_spoil_the_attempt(hosts: Lab) -> None:
    """A real client that waits for an answer, as telnet does: the kernel sends its SYN again."""
    shut(hosts, "iptables-nft")
    hosts.server.run("iptables-nft", "-A", "INPUT", "-p", "tcp", "-j", "DROP")
    daemon = hosts.start(ssh("iptables-nft", timed=5))
    with hosts.client.inside():
        waiting = [socket.socket() for _ in range(3)]
    for knocker, port in zip(waiting, (7000, 8000, 9000), strict=True):
        knocker.setblocking(False)
        knocker.connect_ex((SERVER_4, port))
        if port == 7000:
            time.sleep(1.3)  # longer than the kernel waits before it sends a SYN again
    daemon.wait_for("OPEN SESAME")
    for knocker in waiting:
        knocker.close()


def test_ipv4_only_leaves_ipv6_knocks_alone(hosts: Lab) -> None:
    daemon = hosts.start(door("true"), "-4")
    hosts.knock(7000, host=SERVER_6)
    hosts.knock(7000)
    daemon.wait_for("OPEN SESAME")
    assert CLIENT_6 not in daemon.text()
