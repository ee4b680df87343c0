"""The C knockd of Debian gives way to pyknockd, and comes back: what the admin has made stays."""

from __future__ import annotations

import time

import pytest

from tests.support import trees
from tests.support.lab import CLIENT_4, INTERFACE, until
from tests.support.machine import Machine, configure, knock, opens, wait_for_line, wait_for_rule

ADMINS = (
    "/etc/knockd.conf",
    "/etc/default/knockd",
    "/etc/systemd/system/knockd.service.d/own.conf",
)
DROP_IN = "[Service]\nEnvironment=FROM_DROP_IN=1\nRestartSec=7\n"


def original(host: Machine, *, start: int = 0, seconds: int = 10) -> None:
    """Debian's knockd with a configuration and a drop-in of the admin's; not started."""
    host.install("knockd")
    configure(host, start=start, seconds=seconds)
    # Without a comment behind it: systemd, and so Debian's unit, would make it part of the value.
    host.write("/etc/default/knockd", f'START_KNOCKD={start}\nKNOCKD_OPTS="-i {INTERFACE}"\n')
    host.write(ADMINS[2], DROP_IN)
    host.output("systemctl daemon-reload")


def start_original(host: Machine) -> None:
    """Debian's unit counts as started a moment before knockd listens."""
    host.output("systemctl start knockd")
    wait_for_line(host, "starting up, listening", 1)
    time.sleep(0.2)


def contents(host: Machine) -> dict[str, str]:
    return {path: host.file(path).read_text() for path in ADMINS}


def test_a_running_knockd_is_followed_by_a_running_pyknockd(debian: Machine) -> None:
    original(debian, start=0)
    debian.output("systemctl start knockd")
    before = contents(debian)
    said = debian.install_pyknockd()
    assert "START_KNOCKD in /etc/default/knockd, which was 0, is 1 now" in said
    assert debian.systemctl("is-active knockd") == "active"
    assert "python3" in debian.output(
        "readlink /proc/$(systemctl show --value -p MainPID knockd)/exe"
    )
    before["/etc/default/knockd"] = before["/etc/default/knockd"].replace("=0", "=1")
    assert contents(debian) == before
    environment = debian.output("cat /proc/$(systemctl show --value -p MainPID knockd)/environ")
    assert "FROM_DROP_IN=1" in environment
    opens(debian)
    assert f"knockd: {CLIENT_4}: openSSH: Stage 1" in _plain(
        debian.file("/var/log/syslog").read_text()
    )


def _plain(text: str) -> str:
    return "\n".join("knockd: " + line.split(": ", 1)[-1] for line in text.splitlines())


def test_a_running_knockd_whose_file_has_a_mistake_by_now_goes_on(debian: Machine) -> None:
    original(debian)
    start_original(debian)
    before = debian.systemctl("show --value -p MainPID knockd")
    good = debian.file("/etc/knockd.conf").read_text()
    debian.write("/etc/knockd.conf", good.replace("tcpflags", "tcpflag", 1))
    said = debian.install_pyknockd()
    assert "pyknockd: knockd was not restarted, the old one goes on: /etc/knockd.conf:7: " in said
    assert "; mend it, then: dpkg-reconfigure pyknockd" in said
    time.sleep(35)  # longer than the watchdog of our unit
    assert debian.systemctl("show --value -p MainPID knockd") == before
    opens(debian)
    debian.write("/etc/knockd.conf", good)
    debian.output("dpkg-reconfigure pyknockd")
    assert "python3" in debian.output(
        "readlink /proc/$(systemctl show --value -p MainPID knockd)/exe"
    )
    assert debian.systemctl("show --value -p WatchdogUSec knockd") == "30s"
    opens(debian)


@pytest.mark.parametrize("start", [0, 1])
def test_a_stopped_knockd_is_followed_by_a_stopped_pyknockd(newest: Machine, start: int) -> None:
    original(newest, start=start)
    before = contents(newest)
    newest.install_pyknockd()
    assert newest.systemctl("is-active knockd") == "inactive"
    assert contents(newest) == before


@pytest.mark.parametrize("state", ["enabled", "disabled"])
def test_enabled_stays_enabled_and_disabled_disabled(newest: Machine, state: str) -> None:
    original(newest)
    newest.output(f"systemctl {state.removesuffix('d')} knockd; systemctl start knockd")
    newest.install_pyknockd()
    assert newest.systemctl("is-enabled knockd") == state
    assert newest.systemctl("is-active knockd") == "active"
    newest.install("knockd")
    assert newest.systemctl("is-enabled knockd") == state
    newest.install_pyknockd()
    assert newest.systemctl("is-enabled knockd") == state


def test_a_door_that_knockd_has_opened_is_closed_on_time(debian: Machine) -> None:
    trees.package(debian.release)  # takes longer than the door stands open
    original(debian, seconds=45)
    start_original(debian)
    knock(debian, 2222, 3333)
    wait_for_rule(debian, 2200)
    opened = time.monotonic()
    said = debian.install_pyknockd()
    assert f"{CLIENT_4}: timedSSH, opened at" in said
    assert "stays until it closes it" in said
    assert debian.systemctl("is-active knockd") == "active"
    assert time.monotonic() - opened < 44, "too slow to tell"
    wait_for_rule(debian, 2200)
    until(lambda: not debian.rules(), "the door to close")
    assert time.monotonic() - opened > 43
    said = debian.journal("knockd-open-doors.scope")
    assert said.count(f"{CLIENT_4}: timedSSH: command timeout") == 1


def test_back_again_debians_knockd_has_its_files(debian: Machine) -> None:
    original(debian, start=1)
    debian.output("systemctl enable --now knockd")
    before = contents(debian)
    script = debian.file("/etc/init.d/knockd").read_bytes()
    debian.install_pyknockd()
    assert debian.file("/etc/init.d/knockd").read_bytes() != script
    debian.install("knockd")
    assert contents(debian) == before
    assert debian.file("/etc/init.d/knockd").read_bytes() == script
    assert debian.output("dpkg --verify knockd").replace("??5?????? c", "").split() == [
        "/etc/default/knockd",
        "/etc/knockd.conf",
    ]
    debian.output("systemctl stop knockd")
    start_original(debian)
    opens(debian)
    debian.output("apt-get purge -q -y pyknockd")
    assert contents(debian) == before
    assert debian.systemctl("is-enabled knockd") == "enabled"
    assert debian.systemctl("is-active knockd") == "active"
    assert "pyknockd" not in debian.output("dpkg-divert --list")


def test_purging_what_is_left_of_knockd_takes_nothing_away(debian: Machine) -> None:
    original(debian, start=1)
    debian.output("systemctl enable --now knockd")
    before = contents(debian)
    debian.install_pyknockd()
    debian.output("dpkg --purge knockd")
    assert contents(debian) == before
    assert debian.systemctl("is-enabled knockd") == "enabled"
    assert debian.systemctl("is-active knockd") == "active"


def test_purge_leaves_the_configuration_that_was_there_before(newest: Machine) -> None:
    original(newest, start=1)
    newest.output("systemctl start knockd")
    before = contents(newest)
    newest.install_pyknockd()
    newest.output("apt-get purge -q -y pyknockd")
    assert contents(newest) == before
    assert newest.systemctl("is-active knockd") == "inactive"


def test_dpkg_alone_can_swap_too(debian: Machine) -> None:
    original(debian)
    debian.output("systemctl start knockd")
    deb = trees.package(debian.release)
    debian.file(f"/root/{deb.name}").write_bytes(deb.read_bytes())
    debian.output(f"dpkg --install /root/{deb.name} </dev/null")
    assert debian.systemctl("is-active knockd") == "active"
    assert "python3" in debian.output(
        "readlink /proc/$(systemctl show --value -p MainPID knockd)/exe"
    )
    opens(debian)


def test_a_knockd_that_was_started_by_hand_is_named_and_runs_on(newest: Machine) -> None:
    original(newest)
    newest.output(f"knockd -d -i {INTERFACE}")
    time.sleep(0.5)
    said = newest.install_pyknockd()
    assert "is a knockd that knockd.service did not start; it runs on" in said
    assert newest.systemctl("is-active knockd") == "inactive"
    opens(newest)


def test_a_daemon_that_outlived_its_package_is_taken_over(newest: Machine) -> None:
    original(newest)
    newest.output("systemctl start knockd; apt-get remove -q -y knockd")
    newest.install_pyknockd()
    assert newest.systemctl("is-active knockd") == "active"
    opens(newest)


def test_an_init_script_that_was_changed_stays(newest: Machine) -> None:
    original(newest)
    script = newest.file("/etc/init.d/knockd")
    script.write_text(script.read_text() + "# changed\n")
    said = newest.install_pyknockd()
    assert "/etc/init.d/knockd has been changed here and stays" in said
    assert script.read_text().endswith("# changed\n")


def test_a_drop_in_with_its_own_command_goes_on_working(newest: Machine) -> None:
    original(newest, start=1)
    newest.write(
        ADMINS[2],
        "[Service]\nExecStartPre=/bin/sleep 0.2\nExecStart=\n"
        f"ExecStart=/bin/sh -c '/usr/sbin/knockd -i {INTERFACE} -v; exit $?'\n",
    )
    newest.output("systemctl daemon-reload; systemctl start knockd")
    newest.install_pyknockd()
    assert newest.systemctl("is-active knockd") == "active"
    opens(newest)
