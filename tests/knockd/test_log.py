"""The log, held against knockd's: the same lines and the same datagrams."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.support.doors import LOGGED
from tests.support.lab import CLIENT_4, INTERFACE, SERVER_4, Lab
from tests.support.oracle import Network, Packet, run
from tests.support.packets import Route, ethernet, ipv4, tcp
from tests.support.realknockd import debian_knockd
from tests.support.syslog import syslogd


def test_the_file_says_what_knockds_file_says(hosts: Lab, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    daemon = hosts.start(LOGGED.format(ours))
    hosts.knock(6000)
    daemon.wait_for("sequence timeout (stage 1)")
    hosts.knock(7000, 8000, 9000)
    daemon.wait_for("running command", times=2)
    daemon.stop()
    route = Route(CLIENT_4, SERVER_4)
    times = [(0.0, 6000), (2.0, 7000), (2.0, 8000), (2.0, 9000)]
    packets = [Packet(time, ethernet(ipv4(tcp(port), route=route))) for time, port in times]
    network = Network(addresses=[SERVER_4], interface=INTERFACE)
    config = LOGGED.format(theirs).replace("exit 3", "exit 3 #status=768")
    run(config, packets, options=["-i", INTERFACE], directory=tmp_path, network=network)

    def lines(path: Path) -> list[str]:
        text = path.read_text().replace(" #status=768", "")
        return [line[19:] for line in text.splitlines() if line.strip()]

    assert lines(ours)[:-1] == lines(theirs)
    assert lines(ours)[-1] == "shutting down"


def datagrams(hosts: Lab, folder: Path, words: list[str]) -> list[bytes]:
    """What a daemon on the server sends to its syslog when the same knocks come, stamps left out."""
    folder.mkdir()
    with syslogd(folder / "log") as server:
        script = (
            "mount -t tmpfs none /mnt && cp -a /dev/null /dev/urandom /mnt"
            f' && ln -s {folder}/log /mnt/log && mount --move /mnt /dev && exec "$@"'
        )
        daemon = hosts.spawn(["unshare", "-m", "sh", "-c", script, "-", *words])
        found = [server.recv(4096)]
        assert b"starting up, listening on" in found[0]
        hosts.knock(7000, 8000, 9000)
        hosts.knock(7000, 9000)
        hosts.knock(7000, 8000)
        while not all_is_said(found):
            found.append(server.recv(4096))
        daemon.stop()
    return [re.sub(rb"^(<\d+>)\w{3} [ \d]\d \d\d:\d\d:\d\d", rb"\1", line) for line in found]


def all_is_said(lines: list[bytes]) -> bool:
    """Whether all knocks have been heard and the door is closed, whichever comes last."""
    text = b"\n".join(lines)
    return (
        text.count(b": Stage 1") == 3
        and text.count(b": Stage 2") == 2
        and b": running command: true" in text
    )


def test_syslog_gets_the_same_datagrams_from_both_daemons(hosts: Lab, tmp_path: Path) -> None:
    config = hosts.config(LOGGED.format("/dev/null").replace("[options]", "[options]\nUseSyslog"))
    options = ["-i", INTERFACE, "-c", str(config)]
    real = str(debian_knockd() / "usr/sbin/knockd")
    theirs = datagrams(hosts, tmp_path / "theirs", [real, *options])
    ours = datagrams(hosts, tmp_path / "ours", [sys.executable, "-m", "pyknockd", *options])
    assert len(ours) == 12
    assert sorted(ours) == sorted(theirs)
    of_knocks = [line for line in theirs if b" door: " in line and b"command" not in line]
    assert of_knocks == [line for line in ours if line in of_knocks]
