"""What pyknockd.yaml says of a door, in the field."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.doors import KINDS, door, knock_as, ssh
from tests.support.lab import CLIENT_4, CLIENT_6, INTERFACE, SERVER_6, Lab, Running, until


@pytest.fixture
def settings(hosts: Lab) -> Path:
    return hosts.folder / "pyknockd.yaml"


def start(hosts: Lab, settings: Path, text: str, policy: str, *options: str) -> Running:
    settings.write_text(policy)
    return hosts.start(text, *options)


def test_who_is_denied_or_not_allowed_opens_nothing(hosts: Lab, settings: Path) -> None:
    policy = "doors:\n  openSSH:\n    allow: [10.77.0.0/24]\n    deny: [10.77.0.9]\n"
    daemon = start(hosts, settings, ssh("iptables-nft", timed=60), policy)
    knock_as(hosts, "10.77.3.1", 7000, 8000, 9000)
    knock_as(hosts, "10.77.0.9", 7000, 8000, 9000)
    hosts.knock(7000, 8000, 9000)
    daemon.wait_for(f"{CLIENT_4}: openSSH: OPEN SESAME")
    assert "10.77.3.1" not in daemon.text()
    assert "10.77.0.9" not in daemon.text()


def test_a_source_opens_a_door_once_in_its_cooldown(hosts: Lab, settings: Path) -> None:
    policy = "doors:\n  d:\n    cooldown: 600\n"
    daemon = start(hosts, settings, door("true"), policy)
    hosts.knock(7000)
    daemon.wait_for("OPEN SESAME")
    hosts.knock(7000)
    knock_as(hosts, "10.77.3.1", 7000)
    daemon.wait_for("10.77.3.1: d: OPEN SESAME")
    assert daemon.text().count(f"{CLIENT_4}: d: Stage 1") == 1


@pytest.mark.parametrize("strict", [True, False])
def test_a_scan_walks_into_no_strict_door(hosts: Lab, settings: Path, strict: bool) -> None:
    policy = f"doors:\n  openSSH:\n    strict: {str(strict).lower()}\n"
    text = ssh("iptables-nft", timed=60, steps="7000,7005,7010")
    daemon = start(hosts, settings, text, policy)
    knock_as(hosts, "10.77.3.1", *range(6998, 7013))
    knock_as(hosts, "10.77.3.2", 7000, 7005, 7010)
    daemon.wait_for("10.77.3.2: openSSH: OPEN SESAME")
    assert ("10.77.3.1: openSSH: OPEN SESAME" in daemon.text()) is not strict


def test_a_door_lets_in_no_more_than_it_may(hosts: Lab, settings: Path) -> None:
    text = door("iptables-nft -I INPUT -s %IP% -j ACCEPT", cmd_timeout="60",
                stop_command="iptables-nft -D INPUT -s %IP% -j ACCEPT")  # fmt: skip
    daemon = start(hosts, settings, text, "doors:\n  d:\n    max_open: 2\n")
    for number in (1, 2, 3):
        knock_as(hosts, f"10.77.3.{number}", 7000)
    said = "10.77.3.3: d: the door stays shut: 2 are in, which is max_open"
    daemon.wait_for(said)
    knock_as(hosts, "10.77.3.1", 7000)  # it is in: it gets more time
    daemon.wait_for("10.77.3.1: d: OPEN SESAME", times=2)
    assert len(hosts.rules("iptables-nft")) == 2
    assert daemon.text().count("the door stays shut") == 1


def test_a_command_that_takes_too_long_is_killed(hosts: Lab, settings: Path) -> None:
    text = door("sleep 983; echo never")
    daemon = start(hosts, settings, text, "doors:\n  d:\n    command_timeout: 1\n")
    hosts.knock(7000)
    daemon.wait_for("d: killed after 1 s (command_timeout): sleep 983; echo never")
    daemon.wait_for("d: command returned non-zero status code (137)")
    assert "\nnever" not in daemon.text()
    pids = [int(pid) for pid in hosts.server.run("ip", "netns", "pids", hosts.server.name).split()]
    names = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids if _exists(pid)]
    assert b"sleep\x00983\x00" not in names


def _exists(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}/cmdline")


def test_a_door_is_heard_on_its_interfaces_only(hosts: Lab, settings: Path) -> None:
    text = door("true") + "[e]\nsequence = 7000\ntcpflags = syn\ncommand = true\n"
    policy = f"doors:\n  d:\n    interfaces: [other0]\n  e:\n    interfaces: [{INTERFACE}]\n"
    daemon = start(hosts, settings, text, policy)
    hosts.knock(7000)
    daemon.wait_for("e: OPEN SESAME")
    assert ": d: " not in daemon.text()


@pytest.mark.parametrize("kind", KINDS)
def test_a_door_opens_for_the_network_around_a_source(
    hosts: Lab, settings: Path, kind: str
) -> None:
    six = kind.replace("iptables", "ip6tables")
    text = door(f"{kind} -I INPUT -s %NET% -j ACCEPT", cmd_timeout="1",
                start_command_6=f"{six} -I INPUT -s %NET% -j ACCEPT",
                stop_command=f"{kind} -D INPUT -s %NET% -j ACCEPT",
                stop_command_6=f"{six} -D INPUT -s %NET% -j ACCEPT")  # fmt: skip
    daemon = start(hosts, settings, text, "doors:\n  d:\n    mask: {v4: 24, v6: 64}\n")
    hosts.knock(7000)
    hosts.knock(7000, host=SERVER_6)
    network = "10.77.0.0/24"
    daemon.wait_for(f"d: running command: {kind} -I INPUT -s {network} -j ACCEPT")
    daemon.wait_for(f"d: running command: {six} -I INPUT -s fd77::/64 -j ACCEPT")
    daemon.wait_for(f"d: running command: {kind} -D INPUT -s {network} -j ACCEPT")
    until(lambda: not hosts.rules(kind) + hosts.rules(six), "both are closed")
    assert CLIENT_6 in daemon.text()


def test_a_command_knows_its_door_and_family(hosts: Lab, settings: Path) -> None:
    text = door("echo %DOOR%-%FAMILY%-%IP%")
    daemon = start(hosts, settings, text, "doors:\n  d: {cooldown: 1}\n")
    hosts.knock(7000)
    hosts.knock(7000, host=SERVER_6)
    daemon.wait_for(f"d-4-{CLIENT_4}")
    daemon.wait_for(f"d-6-{CLIENT_6}")


def test_a_door_may_stand_in_the_settings_alone(hosts: Lab, settings: Path) -> None:
    policy = "doors:\n  web:\n    sequence: [7100, '7200:udp']\n    start_command: echo in-%IP%\n"
    daemon = start(hosts, settings, door("true"), policy)
    hosts.knock(7100, "7200:udp")
    daemon.wait_for(f"in-{CLIENT_4}")


def test_settings_are_taken_over_whole_or_not_at_all(hosts: Lab, settings: Path) -> None:
    daemon = start(hosts, settings, door("true"), "doors:\n  d: {cooldown: 600}\n")
    settings.write_text("doors:\n  d: {cooldown: never}\n")
    daemon.process.send_signal(1)
    daemon.wait_for(f"{settings}:2: cooldown: found 'never'; expected a number from 1 to")
    daemon.wait_for("the file was not taken over")
    settings.write_text("doors:\n  d: {deny: 10.77.0.2}\n")
    daemon.process.send_signal(1)
    daemon.wait_for("re-reading config file", times=2)
    knock_as(hosts, "10.77.3.1", 7000)
    hosts.knock(7000)
    daemon.wait_for("10.77.3.1: d: OPEN SESAME")
    assert f"{CLIENT_4}: d" not in daemon.text()


def test_an_alert_is_logged_and_runs_its_command(hosts: Lab, settings: Path) -> None:
    policy = (
        "alerts:\n  - {when: failed, count: 3, within: 60, command: echo told-%IP%-%DOOR%}\n"
        "on_start: echo it-starts\non_stop: [echo it-stops, exit 3]\n"
    )
    daemon = start(hosts, settings, ssh("iptables-nft"), policy)
    daemon.wait_for("it-starts")
    for _ in range(3):
        knock_as(hosts, "10.77.3.1", 7000, 9000)
    daemon.wait_for("10.77.3.1: openSSH: alert: failed, 3 times within 60 s")
    daemon.wait_for("told-10.77.3.1-openSSH")
    assert daemon.stop() == 0
    assert "it-stops" in daemon.text()
    assert "on_stop: command failed: non-zero status code (3): exit 3" in daemon.text()
