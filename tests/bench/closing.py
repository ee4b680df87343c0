"""How long it takes to close a door: the change itself, once its time has come.

knockd gives the command to a shell; pyknockd makes the change in its own process. What either does
before that is to look at the clock.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Sequence

from pyknockd.firewall import Firewall, Outcome
from tests.bench.arena import LEGACY, NFT, Bench, stage
from tests.bench.clients import address
from tests.bench.opening import FILLING, fill
from tests.bench.report import Bound, Row, Wanted

ROUNDS, QUICK_ROUNDS = 100, 10

_WANTED = Wanted(Bound.AT_MOST, 2.0)


def close_nft(bench: Bench) -> list[Row]:
    return _measure(bench, "close-nft", NFT, 0, _WANTED)


def close_nft_5000(bench: Bench) -> list[Row]:
    return _measure(bench, "close-nft-5000", NFT, FILLING, None)


def close_legacy(bench: Bench) -> list[Row]:
    return _measure(bench, "close-legacy", LEGACY, 0, None)


def _measure(
    bench: Bench, name: str, iptables: str, rules: int, wanted: Wanted | None
) -> list[Row]:
    firewall = Firewall()
    count = bench.rounds(ROUNDS, QUICK_ROUNDS)
    with stage(bench, iptables) as hosts:
        fill(hosts, iptables, rules)
        with hosts.server.inside():
            bench.progress.program("knockd")
            theirs = [_time(_by_shell, _words(iptables, n), firewall) for n in range(count)]
            bench.progress.program("pyknockd")
            ours = [
                _time(_in_process(firewall), _words(iptables, n), firewall) for n in range(count)
            ]
    rows = []
    for which, share, limit in (("median", 0.5, wanted), ("p90", 0.9, None)):
        figures = _quantile(theirs, share), _quantile(ours, share)
        rows.append(Row(name, f"to delete a rule, {which}", "ms", *figures, limit))
    return rows


def _words(iptables: str, number: int) -> list[str]:
    return [iptables, "-D", "INPUT", "-s", address(number), "-p", "tcp", "--dport", "22"]


def _time(close: Callable[[list[str]], None], words: list[str], firewall: Firewall) -> float:
    """Milliseconds to delete the rule, which is put there first."""
    words = [*words, "-j", "ACCEPT"]
    _in_process(firewall)([words[0], "-I", *words[2:]])
    began = time.perf_counter()
    close(words)
    return (time.perf_counter() - began) * 1000


def _by_shell(words: list[str]) -> None:
    subprocess.run(["/bin/sh", "-c", " ".join([*words, "-w"])], check=True)


def _in_process(firewall: Firewall) -> Callable[[list[str]], None]:
    def close(words: list[str]) -> None:
        while (applied := firewall.apply(words)).outcome is Outcome.BUSY:
            pass  # somebody else on this machine changes legacy tables
        assert applied.outcome is Outcome.DONE, applied

    return close


def _quantile(times: Sequence[float], share: float) -> float:
    ordered = sorted(times)
    return statistics.median(ordered) if share == 0.5 else ordered[round(share * (len(times) - 1))]
