"""What a measure gives, and how it is shown: a table for people, JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

PROGRESS_WIDTH = 30  # characters


class Bound(Enum):
    """How a figure is compared with what is wanted."""

    AT_MOST = "at most"
    AT_LEAST = "at least"
    SHARE_OF_KNOCKD = "at most this share of knockd's"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What pyknockd's figure should be."""

    bound: Bound
    value: float

    def met(self, knockd: float | None, pyknockd: float | None) -> bool:
        if pyknockd is None:
            return False
        if self.bound is Bound.AT_MOST:
            return pyknockd <= self.value
        if self.bound is Bound.AT_LEAST:
            return pyknockd >= self.value
        return knockd is not None and pyknockd <= self.value * knockd

    def text(self, unit: str) -> str:
        if self.bound is Bound.SHARE_OF_KNOCKD:
            return f"≤ 1/{1 / self.value:.0f}"
        sign = "≤" if self.bound is Bound.AT_MOST else "≥"
        return f"{sign} {self.value:g} {unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both programs, in ``unit``; None: there was nothing to measure."""

    measure: str
    what: str
    unit: str
    knockd: float | None
    pyknockd: float | None
    wanted: Wanted | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """pyknockd's figure as a multiple of knockd's."""
        if self.knockd and self.pyknockd is not None:
            return self.pyknockd / self.knockd
        return None

    @property
    def met(self) -> bool | None:
        """Whether pyknockd's figure is as wanted; None if nothing is."""
        return None if self.wanted is None else self.wanted.met(self.knockd, self.pyknockd)

    def cells(self) -> list[str]:
        wanted = self.wanted.text(self.unit) if self.wanted is not None else ""
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        figures = [_figure(self.knockd, self.unit), _figure(self.pyknockd, self.unit)]
        return [self.measure, self.what, *figures, _ratio(self.ratio), wanted, verdict]

    def plain(self) -> dict[str, object]:
        """For JSON."""
        return {
            "measure": self.measure,
            "what": self.what,
            "unit": self.unit,
            "knockd": self.knockd,
            "pyknockd": self.pyknockd,
            "ratio": self.ratio,
            "wanted": None if self.wanted is None else self.wanted.text(self.unit),
            "met": self.met,
            "note": self.note,
        }


class Progress:
    """One line on standard error that is written over; nothing if that is no terminal."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._measure = self._program = ""
        self._place = ""

    def measure(self, name: str, number: int, count: int) -> None:
        self._measure, self._program, self._place = name, "", f"{number}/{count}"
        self.part(0.0)

    def program(self, name: str) -> None:
        self._program = name
        self.part(0.0)

    def part(self, share: float) -> None:
        """``share`` of what is to be done for this measure and program is done."""
        if not self._shown:
            return
        done = round(share * PROGRESS_WIDTH)
        bar = "#" * done + "." * (PROGRESS_WIDTH - done)
        line = f"{self._place} {self._measure:<12} {self._program:<9} [{bar}] {share:4.0%}"
        print(f"\r{line}\033[K", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def table(rows: Sequence[Row]) -> str:
    """For people: one line a row, then the rows' notes."""
    head = ["measure", "what is measured", "knockd 0.8", "pyknockd", "ratio", "wanted", ""]
    cells = [head, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
    lines = [_line(line, widths) for line in cells]
    lines.insert(1, "  ".join("-" * width for width in widths).rstrip())
    notes = [f"{row.measure}: {row.note}" for row in rows if row.note]
    return "\n".join([*lines, *([""] if notes else []), *dict.fromkeys(notes)])


def as_json(rows: Iterable[Row], system: dict[str, str], *, quick: bool) -> str:
    """For programs: ``{"quick": …, "system": {…}, "rows": [{…}, …]}``."""
    plain = {"quick": quick, "system": system, "rows": [row.plain() for row in rows]}
    return json.dumps(plain, indent=2, ensure_ascii=False)


def system() -> dict[str, str]:
    """What the figures depend on besides the two programs."""
    return {
        "kernel": platform.release(),
        "python": platform.python_version(),
        "iptables": _first_line("iptables", "-V"),
        "CPUs": str(len(os.sched_getaffinity(0))),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def _first_line(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return (done.stdout.splitlines() or ["?"])[0]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, figures to the right."""
    padded = [
        cell.rjust(width) if 2 <= column <= 4 else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "none"
    text = f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"
    return f"{text} {unit}".rstrip()


def _ratio(ratio: float | None) -> str:
    if not ratio:
        return ""
    return f"{ratio:.3g} ×" if ratio >= 1 else f"1/{1 / ratio:.3g}"
