"""Load: busy ports, hostile packets, big configurations, and a long day's work.

``PYKNOCKD_FRAMES`` and ``PYKNOCKD_OPENINGS`` make the runs as long as they are meant to be: a million
frames, 20,000 openings.
"""

from __future__ import annotations

import os
import random
import socket
import threading
from pathlib import Path

from tests.support.doors import EVERY_LINE, door, ssh, syn
from tests.support.lab import INTERFACE, SERVER_4, Lab, Running, until

OPENINGS = int(os.environ.get("PYKNOCKD_OPENINGS", "200"))
MEGABYTE = 1024 * 1024


def wake_ups(daemon: Running) -> int:
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def resident(daemon: Running) -> int:
    return int(Path(f"/proc/{daemon.process.pid}/statm").read_text().split()[1]) * 4096


def test_a_busy_port_in_a_sequence_does_not_wake_the_daemon(hosts: Lab) -> None:
    daemon = hosts.start(door("true").replace("7000", "443,7000"))
    size = 200 * MEGABYTE

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(bytes(size))

    with hosts.listen(443) as listener:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        before = wake_ups(daemon)
        with hosts.client.inside():
            client = socket.create_connection((SERVER_4, 443))
        received = 0
        while received < size:
            received += len(client.recv(MEGABYTE))
        client.close()
        server.join()
    assert wake_ups(daemon) - before < 50
    hosts.knock(7000)  # the transfer's own SYN was the first knock
    daemon.wait_for("OPEN SESAME")


def test_five_hundred_doors_on_fifty_addresses(hosts: Lab) -> None:
    for number in range(10, 60):
        hosts.server.ip("addr", "add", f"10.77.0.{number}/24", "dev", INTERFACE)
    rng = random.Random(9)
    ports = [rng.sample(range(1, 65_536), 8) for _ in range(500)]
    text = "".join(
        f"[door{n}]\nsequence = {','.join(map(str, steps))}\ntcpflags = syn\ncommand = true\n"
        for n, steps in enumerate(ports)
    )
    daemon = hosts.start(text)
    for number in (0, 250, 499):
        hosts.knock(*ports[number], host=f"10.77.0.{10 + number // 10}")
        daemon.wait_for(f"door{number}: OPEN SESAME")


def test_a_long_days_work_leaves_nothing_behind(hosts: Lab, tmp_path: Path) -> None:
    (tmp_path / "pyknockd.yaml").write_text(EVERY_LINE)
    daemon = hosts.start(ssh("iptables-legacy", timed=0))
    with hosts.client.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def open_some(first: int, count: int) -> None:
        for number in range(first, first + count):
            source = f"10.{200 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}"
            for port in (7000, 8000, 9000):
                raw.sendto(syn(source, port, number), (SERVER_4, 0))
            if number % 50 == 49:
                daemon.wait_for("command timeout", times=number + 1)
                raw.sendto(syn(source, 7000, number + 1), (SERVER_4, 0))

    open_some(0, 100)
    until(lambda: not hosts.rules("iptables-legacy"), "no rule is left")
    descriptors = len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
    half = OPENINGS // 2 // 50 * 50
    open_some(100, half)
    # From here on the table of remembered sources, which is bounded, is as full as it gets.
    before = resident(daemon)
    open_some(100 + half, OPENINGS - half)
    until(lambda: not hosts.rules("iptables-legacy"), "no rule is left")
    assert daemon.text().count("OPEN SESAME") == 100 + OPENINGS
    assert len(os.listdir(f"/proc/{daemon.process.pid}/fd")) == descriptors
    children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
    until(lambda: not children.read_text(), "no process is left")
    assert resident(daemon) - before < 8 * MEGABYTE
