"""Text of others that is to be shown: on a terminal, in a log, as one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_MOST_SHOWN = 100


def printable(text: str) -> str:
    r"""``text`` with everything that is not to be seen as Python would write it: ``\x1b``.

    A byte that was no text, read with "surrogateescape", becomes ``\xff``.
    """
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def excerpt(text: str) -> str:
    """The beginning of a long ``text``, printable."""
    more = len(text) - _MOST_SHOWN
    return printable(text[:_MOST_SHOWN]) + (f"… ({more} characters more)" if more > 0 else "")


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row; each column is as wide as its widest text, the last is not filled up."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    filled = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return [line.rstrip() for line in filled]


def is_plain(environment: Mapping[str, str]) -> bool:
    """Whether the user or the terminal wants no colours; https://no-color.org."""
    return bool(environment.get("NO_COLOR")) or environment.get("TERM", "dumb") == "dumb"


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
