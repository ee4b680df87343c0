"""Text of others that is to be shown: on a terminal, in a log, as one line."""

from __future__ import annotations

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


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
