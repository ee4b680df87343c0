"""The daemon's log: in syslog, in the file, on standard output."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.support.doors import LOGGED
from tests.support.lab import CLIENT_4, INTERFACE, Lab, until
from tests.support.syslog import syslogd


def test_lines_reach_a_syslog_that_comes_back_though_nobody_knocks(
    hosts: Lab, tmp_path: Path
) -> None:
    config = hosts.config(LOGGED.format("/dev/null").replace("[options]", "[options]\nUseSyslog"))
    script = (
        "mount -t tmpfs none /mnt && cp -a /dev/null /dev/urandom /mnt"
        f' && ln -s {tmp_path}/log /mnt/log && mount --move /mnt /dev && exec "$@"'
    )
    words = [sys.executable, "-m", "pyknockd", "-v", "-i", INTERFACE, "-c", str(config)]
    daemon = hosts.spawn(["unshare", "-m", "sh", "-c", script, "-", *words])
    daemon.wait_for("starting up")
    with syslogd(tmp_path / "log") as server:
        assert b"starting up, listening on" in server.recv(4096)


def test_hup_opens_the_log_anew_as_logrotate_wants_it(hosts: Lab, tmp_path: Path) -> None:
    path = tmp_path / "knockd.log"
    daemon = hosts.start(LOGGED.format(path))
    path.rename(tmp_path / "knockd.log.1")
    daemon.process.send_signal(signal.SIGHUP)
    until(path.exists, "the new file is there")
    hosts.knock(7000)
    until(lambda: "Stage 1" in path.read_text(), "it is written to")
    assert "re-opening log file" in (tmp_path / "knockd.log.1").read_text()


def test_names_stand_behind_the_addresses_and_hold_up_no_knock(hosts: Lab) -> None:
    folder = Path("/etc/netns") / hosts.server.name
    folder.mkdir(parents=True)
    try:
        (folder / "hosts").write_text(f"{CLIENT_4} visitor.example\n")
        daemon = hosts.start(LOGGED.format("/dev/null"), "-l")
        hosts.knock(7000, 8000, 9000)
        daemon.wait_for(f"{CLIENT_4} (visitor.example): door: command timeout")
    finally:
        (folder / "hosts").unlink()
        folder.rmdir()
    label = f"{CLIENT_4} (visitor.example): door:"
    assert daemon.lines()[1:6] == [
        *(f"{label} Stage {stage}" for stage in (1, 2, 3)),
        f"{label} OPEN SESAME",
        "door: running command: exit 3",
    ]
