"""How long a packet of nobody's takes. The figures are shown, and decide nothing."""

from __future__ import annotations

import base64
import random
import time
import timeit
from pathlib import Path

import pytest

from pyknockd.model.access import Keys, Secret
from pyknockd.proof.replays import Replays, Use
from pyknockd.proof.spa import Reason, Refusal, Spa
from tests.support.replays import digest, fill
from tests.support.spa import ARRIVAL, NOW, access, packet

TIMES, REPEATS = 2_000, 5


def microseconds(spa: Spa, payload: bytes) -> float:
    """For one packet, where nothing else ran meanwhile."""
    runs = timeit.repeat(lambda: spa.hear(payload, ARRIVAL), number=TIMES, repeat=REPEATS)
    return min(runs) / TIMES * 1e6


def test_what_garbage_costs(capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(1)
    accesses = [
        access(keys=Keys(Secret(chance.randbytes(32)), Secret(chance.randbytes(64))))
        for _ in range(10)
    ]
    one, ten = Spa(accesses[:1]), Spa(accesses)
    noise, garbage = chance.randbytes(204), base64.b64encode(chance.randbytes(153))
    assert one.hear(noise, ARRIVAL) == Refusal(Reason.NOT_SPA)
    assert ten.hear(garbage, ARRIVAL) == Refusal(Reason.HMAC)
    said = (
        f"any octets {microseconds(one, noise):.1f} µs, base64 {microseconds(one, garbage):.1f} µs,"
        f" with 10 keys {microseconds(ten, garbage):.1f} µs"
    )
    with capsys.disabled():
        print(f"\nSPA, a packet of nobody's: {said}")


def test_what_a_good_packet_costs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cryptography", reason="needs python3-cryptography")
    spent = microseconds(Spa([access()]), packet())
    with capsys.disabled():
        print(f"\nSPA, a good packet: {spent:.1f} µs")


def test_what_a_file_of_200_000_used_packets_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "used.db"
    replays = Replays(path, 120)
    replays.open(NOW - 1)
    replays.close()
    fill(path, range(0, 200_000 * 7_919, 7_919), NOW)
    begin = time.perf_counter()
    replays.open(NOW)
    opened = time.perf_counter()
    assert replays.use(digest(7_919), NOW, NOW) is Use.REPLAYED
    assert [replays.use(digest(n), NOW, NOW) for n in range(1, 101)] == [Use.NEW] * 100
    used = (time.perf_counter() - opened) / 101
    with capsys.disabled():
        print(
            f"\n200,000 used packets: {path.stat().st_size / 1e6:.0f} MB, opened in"
            f" {(opened - begin) * 1e3:.0f} ms, one more on the disk in {used * 1e3:.2f} ms"
        )
