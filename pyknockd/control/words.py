"""Answers → what people read: tables, spans of time, colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from pyknockd.system.text import columns


class Colour(Enum):
    """SGR codes, ECMA-48."""

    GOOD = "32"
    BAD = "1;31"
    WARNING = "33"
    FAINT = "2"
    HEAD = "1"


@dataclass(frozen=True, slots=True)
class Painter:
    """Colours texts, if ``on``."""

    on: bool

    def paint(self, text: str, colour: Colour) -> str:
        """``text`` in ``colour``, and without what would move the cursor of a terminal."""
        clean = printable(text)
        return f"\x1b[{colour.value}m{clean}\x1b[0m" if self.on and clean else clean


def printable(text: str) -> str:
    """``text`` without what would move the cursor of a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], painter: Painter) -> list[str]:
    """A heading and lines, in columns."""
    clean = [[printable(cell) for cell in row] for row in rows]
    head, *lines = columns([heads, *clean])
    return [painter.paint(head, Colour.HEAD), *lines]


def span(seconds: float) -> str:
    """A length of time in its two largest units: ``3 d 4 h``, ``12 min``, ``8 s``."""
    left = max(0, round(seconds))
    parts = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
