"""The package on a plain Debian: built, installed, switched on, removed."""

from __future__ import annotations

import re
import time
import warnings

from tests.support import trees
from tests.support.lab import CLIENT_4, INTERFACE, ROOT, until
from tests.support.machine import Machine, configure, knock, opens, wait_for_rule

TOGGLE = "/etc/default/knockd"


def test_lintian_has_nothing_to_say(release: str) -> None:
    said = (trees.package(release).parent / "lintian.txt").read_text()
    remarks = [line for line in said.splitlines() if line[:2] in ("E:", "W:", "I:", "P:")]
    assert remarks == []


def test_a_first_installation_starts_nothing_and_says_what_to_do(debian: Machine) -> None:
    said = debian.install_pyknockd()
    assert f"START_KNOCKD is 0 in {TOGGLE}" in said
    assert debian.systemctl("is-active knockd") == "inactive"
    assert debian.systemctl("is-enabled knockd") == "enabled"
    for path in ("/etc/knockd.conf", TOGGLE, "/etc/init.d/knockd", "/etc/logrotate.d/knockd"):
        assert debian.file(path).exists(), path
    assert debian.run("knockd --check").returncode == 0
    assert debian.output("knockd -V").startswith("knockd 0.8")
    assert debian.run("man -w knockd || ls /usr/share/man/man1/knockd.1.gz").returncode == 0


def test_a_first_installation_has_a_sequence_of_its_own_that_the_last_words_knock(
    debian: Machine,
) -> None:
    said = debian.install_pyknockd()
    (ports,) = re.findall(r"^pyknockd:   from another machine: knock HOST ([\d ]+) &&", said, re.M)
    conf = debian.file("/etc/knockd.conf")
    assert f"= {ports.replace(' ', ',')}\n" in conf.read_text()
    assert conf.stat().st_mode & 0o777 == 0o640
    assert debian.output("knockd --check") == ""
    toggle = debian.file(TOGGLE)
    toggle.write_text(f'{toggle.read_text()}START_KNOCKD=1\nKNOCKD_OPTS="-i {INTERFACE}"\n')
    debian.output("systemctl start knockd")
    scan = sorted(set(map(int, ports.split())))
    knock(debian, *scan, *scan)
    debian.output("systemctl restart knockd")
    knock(debian, *ports.split())
    wait_for_rule(debian, 22)
    assert debian.journal().count("OPEN SESAME") == 1
    debian.output("apt-get purge -q -y pyknockd")
    assert not conf.exists()
    debian.install_pyknockd()
    assert f"= {ports.replace(' ', ',')}\n" not in conf.read_text()


def test_a_configuration_that_is_there_stays_as_it_is(newest: Machine) -> None:
    newest.write("/etc/knockd.conf", "# mine\n")
    said = newest.install_pyknockd()
    assert "knock HOST" not in said
    newest.output("apt-get purge -q -y pyknockd")
    assert newest.file("/etc/knockd.conf").read_text() == "# mine\n"


def test_a_mistake_ends_a_start_once_and_stands_in_the_status(debian: Machine) -> None:
    debian.install_pyknockd()
    configure(debian)
    conf = debian.file("/etc/knockd.conf")
    conf.write_text(conf.read_text().replace("tcpflags", "tcpflag", 1))
    assert debian.run("systemctl start knockd").returncode != 0
    assert debian.systemctl("is-failed knockd") == "failed"
    time.sleep(3)
    assert debian.systemctl("show --value -p NRestarts knockd") == "0"
    status = debian.systemctl("status knockd")
    mistake = "/etc/knockd.conf:7: no directive tcpflag in a door"
    assert f'Status: "not started: {mistake}' in status
    assert "knockd[" in status and f"]: {mistake}" in status


def test_with_last_good_a_mistake_at_boot_locks_nobody_out(newest: Machine) -> None:
    newest.install_pyknockd()
    configure(newest)
    newest.write("/etc/pyknockd.yaml", "last_good: true\n")
    newest.output("systemctl start knockd")
    conf = newest.file("/etc/knockd.conf")
    good = conf.read_text()
    conf.write_text(good.replace("tcpflags", "tcpflag", 1))
    newest.reboot()
    assert newest.systemctl("is-active knockd") == "active"
    assert "MISTAKES: the doors are those of the last good file, of " in newest.journal()
    opens(newest)
    status = newest.systemctl("show --value -p StatusText knockd")
    assert status.startswith("MISTAKES, taken are the doors of ")
    assert newest.run("knockd --check").stdout.count("a start would take the last good file") == 1
    conf.write_text(good)
    newest.output("systemctl reload knockd")
    until(
        lambda: newest.systemctl("show --value -p StatusText knockd") == "0 doors open",
        "all is well again",
    )
    copies = newest.output("stat -c '%a %n' /var/lib/knockd/*last-good*").splitlines()
    assert [line[:4] for line in copies] == ["600 ", "600 "]


def test_an_upgrade_leaves_a_daemon_alone_that_could_not_start_again(debian: Machine) -> None:
    trees.package(debian.release, "1.0.1")
    debian.install_pyknockd()
    configure(debian)
    debian.output("systemctl start knockd")
    before = debian.systemctl("show --value -p MainPID knockd")
    conf = debian.file("/etc/knockd.conf")
    good = conf.read_text()
    conf.write_text(good.replace("tcpflags", "tcpflag", 1))
    said = debian.install_pyknockd(version="1.0.1")
    assert (
        "pyknockd: knockd was not restarted, the old one goes on: /etc/knockd.conf:7: no directive"
    ) in said
    assert "; mend it, then: systemctl restart knockd" in said
    assert debian.systemctl("show --value -p MainPID knockd") == before
    opens(debian)
    conf.write_text(good)
    debian.output("systemctl restart knockd")
    opens(debian)
    toggle = debian.file(TOGGLE)
    toggle.write_text(toggle.read_text().replace("=1", "=0"))
    said = debian.output("dpkg-reconfigure pyknockd")
    assert f"the old one goes on: START_KNOCKD is 0 in {TOGGLE}; mend it" in said
    opens(debian)


def test_without_the_toggle_the_unit_is_skipped_and_the_journal_names_the_file(
    debian: Machine,
) -> None:
    debian.install_pyknockd()
    assert debian.run("systemctl start knockd").returncode == 0
    assert debian.systemctl("is-active knockd") == "inactive"
    assert debian.systemctl("is-failed knockd") == "inactive"
    mine = [line for line in debian.journal().splitlines() if TOGGLE in line]
    assert len(mine) == 1
    assert f"not started: START_KNOCKD is 0 in {TOGGLE}; to start knockd, write" in mine[0]


def test_the_toggle_lets_it_start_and_a_knock_opens(debian: Machine) -> None:
    debian.install_pyknockd()
    configure(debian)
    debian.output("service knockd start")
    assert debian.systemctl("is-active knockd") == "active"
    assert f"starting up, listening on {INTERFACE}" in debian.journal()
    opens(debian)
    until(lambda: "OPEN SESAME" in debian.file("/var/log/syslog").read_text(), "a line in syslog")
    assert f" knockd: {CLIENT_4}: openSSH: OPEN SESAME" in _without_pid(
        debian.file("/var/log/syslog").read_text()
    )


def test_knockctl_asks_the_service_which_leaves_no_socket(debian: Machine) -> None:
    debian.install_pyknockd()
    configure(debian, seconds=300)
    debian.output("systemctl start knockd")
    assert debian.output("stat -c %a:%U /run/knockd/control").strip() == "600:root"
    assert ": 0 doors open" in debian.output("knockctl status")
    knock(debian, 2222, 3333)
    wait_for_rule(debian, 2200)
    assert f"timedSSH  {CLIENT_4}  20" in debian.output("knockctl doors")
    shown = debian.systemctl("show --value -p StatusText knockd")
    assert shown.startswith(f"1 open: timedSSH for {CLIENT_4} until ")
    assert "timedSSH: closing for" in debian.output(f"knockctl close {CLIENT_4}")
    wait_for_rule(debian, 2200, present=False)
    assert debian.run("setpriv --reuid=65534 --clear-groups knockctl doors").returncode == 3
    assert debian.run("man -w knockctl || ls /usr/share/man/man8/knockctl.8.gz").returncode == 0
    debian.output("systemctl stop knockd")
    assert not debian.file("/run/knockd/control").exists()
    assert debian.run("knockctl doors").returncode == 3
    assert "by-hand" in debian.output("knockctl history")


def _without_pid(text: str) -> str:
    """Syslog's lines without the process number that some rsyslogs put behind the name."""
    return "\n".join(line.split("]", 1)[-1] if "]: " in line else line for line in text.split("\n"))


def test_stop_closes_reload_keeps_and_restart_starts(debian: Machine) -> None:
    debian.install_pyknockd()
    configure(debian)
    debian.output("systemctl start knockd")
    debian.write("/etc/knockd.conf", "[door\nsequence = 1\n")
    done = debian.run("systemctl reload knockd")
    assert done.returncode != 0
    assert debian.systemctl("is-active knockd") == "active"
    configure(debian)
    debian.output("systemctl reload knockd")
    assert "re-reading config file: /etc/knockd.conf" in debian.journal()
    debian.output("systemctl restart knockd")
    opens(debian)
    debian.output("systemctl stop knockd")
    assert debian.systemctl("is-active knockd") == "inactive"
    assert debian.journal().count("shutting down") == 2


def test_it_is_there_again_after_a_reboot(debian: Machine) -> None:
    debian.install_pyknockd()
    configure(debian)
    assert debian.systemctl("is-active knockd") == "inactive"
    debian.reboot()
    assert debian.systemctl("is-active knockd") == "active"
    opens(debian)


def test_systemd_starts_it_again_after_a_crash(debian: Machine) -> None:
    debian.install_pyknockd()
    configure(debian)
    debian.output("systemctl start knockd")
    first = debian.systemctl("show --value -p MainPID knockd")
    debian.output(f"kill -KILL {first}")
    until(
        lambda: (
            debian.systemctl("show --value -p MainPID knockd") not in ("0", first)
            and debian.systemctl("is-active knockd") == "active"
        ),
        "a second start",
    )
    opens(debian)


def test_a_door_outlives_a_crash_and_is_closed_once_and_on_time(debian: Machine) -> None:
    debian.install_pyknockd()
    configure(debian, seconds=6)
    debian.output("systemctl start knockd")
    knock(debian, 2222, 3333)
    wait_for_rule(debian, 2200)
    debian.output("kill -KILL $(systemctl show --value -p MainPID knockd)")
    wait_for_rule(debian, 2200, present=False)
    assert debian.journal().count("timedSSH: command timeout") == 1


def test_a_hung_daemon_is_noticed_by_the_watchdog(newest: Machine) -> None:
    newest.install_pyknockd()
    configure(newest)
    newest.write("/etc/systemd/system/knockd.service.d/quick.conf", "[Service]\nWatchdogSec=1\n")
    newest.output("systemctl daemon-reload && systemctl start knockd")
    time.sleep(3)
    assert newest.systemctl("show --value -p NRestarts knockd") == "0", "it must feed the watchdog"
    newest.output("kill -STOP $(systemctl show --value -p MainPID knockd)")
    until(lambda: newest.systemctl("show --value -p NRestarts knockd") == "1", "a restart")


def test_the_units_exposure_is_at_most_four(debian: Machine) -> None:
    debian.install_pyknockd()
    assert debian.run("systemd-analyze security --threshold=40 knockd").returncode == 0


def test_remove_stops_it_and_purge_leaves_nothing(debian: Machine) -> None:
    before = debian.output("find /etc /usr /var -xdev -name '*knock*' ! -path '*/archives/*'")
    debian.install_pyknockd()
    configure(debian)
    debian.output("systemctl start knockd")
    debian.output("apt-get remove -q -y pyknockd")
    assert debian.systemctl("is-active knockd") == "inactive"
    assert debian.run("grep -lE '^(knockd)$' /proc/[0-9]*/comm").stdout == ""
    assert debian.file("/etc/knockd.conf").exists()
    debian.output("apt-get purge -q -y pyknockd")
    after = debian.output("find /etc /usr /var -xdev -name '*knock*' ! -path '*/archives/*'")
    assert after == before


def test_an_upgrade_keeps_doors_open_and_closes_them_on_time(debian: Machine) -> None:
    trees.package(debian.release, "1.0.1")  # takes longer than the door stands open
    debian.install_pyknockd()
    configure(debian, seconds=45)
    debian.output("systemctl start knockd")
    knock(debian, 2222, 3333)
    wait_for_rule(debian, 2200)
    said = debian.install_pyknockd(version="1.0.1")
    assert "Setting up pyknockd (1.0.1)" in said
    until(lambda: debian.systemctl("is-active knockd") == "active", "it is active again")
    restarts = debian.output("systemctl show knockd -P NRestarts").strip()
    if restarts != "0":  # seen once, without its cause: the doors are held all the same
        warnings.warn(f"systemd restarted it {restarts} times:\n{debian.journal()}", stacklevel=1)
    assert [rule for rule in debian.rules() if "--dport 2200" in rule], "closed by the upgrade"
    until(lambda: not debian.rules(), "the door to close")
    assert debian.journal().count("timedSSH: command timeout") == 1


def test_the_init_script_starts_reloads_and_stops(newest: Machine) -> None:
    newest.install_pyknockd()
    script = "SYSTEMCTL_SKIP_REDIRECT=1 _SYSTEMCTL_SKIP_REDIRECT=1 /etc/init.d/knockd"
    assert f"START_KNOCKD is 0 in {TOGGLE}" in newest.output(f"{script} start")
    assert newest.run(f"{script} status").returncode == 3
    configure(newest)
    newest.output(f"{script} start")
    assert newest.run(f"{script} status").returncode == 0
    opens(newest)
    newest.output(f"{script} reload")
    until(
        lambda: "re-reading" in newest.file("/var/log/syslog").read_text(), "the reload in syslog"
    )
    newest.output(f"{script} restart")
    newest.output(f"{script} stop")
    assert newest.run(f"{script} status").returncode == 3
    assert newest.systemctl("is-active knockd") == "inactive"


def test_logrotate_rotates_and_the_daemon_goes_on_writing(newest: Machine) -> None:
    newest.install_pyknockd()
    newest.install("logrotate")
    configure(newest, log="LogFile = /var/log/knockd.log")
    newest.output("systemctl start knockd")
    newest.output("logrotate --force /etc/logrotate.d/knockd")
    assert "starting up" in newest.file("/var/log/knockd.log.1").read_text()
    log = newest.file("/var/log/knockd.log")
    until(log.exists, "the new log file")
    opens(newest)
    assert "OPEN SESAME" in log.read_text()


def test_remove_closes_the_doors_that_stand_open(newest: Machine) -> None:
    newest.install_pyknockd()
    configure(newest, seconds=600)
    newest.output("systemctl start knockd")
    knock(newest, 2222, 3333)
    wait_for_rule(newest, 2200)
    said = newest.output("apt-get remove -q -y pyknockd")
    assert f"pyknockd: closed timedSSH for {CLIENT_4}" in said
    assert newest.rules() == []


def test_the_packages_own_test_succeeds(debian: Machine) -> None:
    debian.install_pyknockd()
    debian.write("/root/knock-opens", (ROOT / "debian/tests/knock-opens").read_text())
    done = debian.run("sh /root/knock-opens")
    assert done.returncode == 0, done.stdout
