"""Text of others that is to be shown: on a terminal, in a log, as one line."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""``text`` with everything in it that is not to be seen as Python would write it: ``\x1b``."""
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
