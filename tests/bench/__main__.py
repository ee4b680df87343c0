"""The benchmark's command line."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import pytest

from pyknockd.system.process import CommandError
from tests.bench.arena import Bench
from tests.bench.measures import MEASURES, Measure
from tests.bench.report import Progress, Row, as_json, system, table

INTERRUPTED = 130  # what a shell answers for SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit status: a figure that is missed is no failure."""
    parser = _parser()
    options = parser.parse_args(argv)
    known = [measure.name for measure in MEASURES]
    wanted = options.names or known
    if unknown := [name for name in wanted if name not in known]:
        parser.error(f"no such measure: {', '.join(unknown)}")
    if os.geteuid() != 0:
        print("the benchmark needs root: network namespaces", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    progress = Progress()
    try:
        before = system()
        rows = _take([m for m in MEASURES if m.name in wanted], options.quick, progress)
    except KeyboardInterrupt:
        return _give_up(progress, "interrupted; everything is cleaned up", INTERRUPTED)
    except pytest.skip.Exception as missing:
        return _give_up(progress, f"cannot measure: {missing.msg}", 1)
    except (AssertionError, RuntimeError, CommandError) as error:
        # A daemon did not do what it must, or there is no knockd, or no iptables of a kind.
        return _give_up(progress, f"cannot measure: {error}", 1)
    if options.json:
        print(as_json(rows, before, quick=options.quick))
    else:
        print(table(rows))
        print("\n" + ", ".join(f"{key} {value}" for key, value in before.items()))
    return 0


def _give_up(progress: Progress, why: str, status: int) -> int:
    progress.clear()
    print(why, file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.bench",
        description="Debian's knockd 0.8 and pyknockd, in turn, over the same packets. Needs root.",
        epilog="\n".join(["NAMES:", *(f"  {m.name:<18}{m.about}" for m in MEASURES)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAMES", help="what to measure (default: all)")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, rougher figures")
    return parser


def _take(measures: Sequence[Measure], quick: bool, progress: Progress) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="pyknockd-bench-") as folder:
        for number, measure in enumerate(measures, start=1):
            progress.measure(measure.name, number, len(measures))
            try:
                rows += measure.take(Bench(quick, Path(folder), progress))
            except AssertionError as error:
                # A daemon did not do what it must; the other figures are none the worse for it.
                rows.append(Row(measure.name, f"could not be measured: {error}", "", None, None))
    progress.clear()
    return rows


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Unwind, which cleans up; from now on a second signal does not disturb that."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda number, frame: None)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
