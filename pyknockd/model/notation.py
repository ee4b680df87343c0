"""Sequences as text: ``7000,8000:udp`` ↔ steps, in knockd's way of reading them.

Numbers are read as C's atoi() reads them, and blanks are what C calls so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pyknockd.model.doors import Step
from pyknockd.model.packets import Protocol

MOST_STEPS = 32
HIGHEST_PORT = 65_535
BLANKS = " \t\n\v\f\r"
NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")


def parse_sequence(text: str) -> tuple[Step, ...] | str:
    """The steps that ``text`` names, like ``7000,8000:udp``; or, as text, what is wrong with it."""
    words = text.split(",")
    if len(words) > MOST_STEPS:
        return f"{len(words)} ports in the sequence; expected at most {MOST_STEPS}"
    steps = []
    for word in words:
        port_text, colon, rest = word.partition(":")
        port = atoi(port_text)
        if port > HIGHEST_PORT:
            return f"port {port_text.strip(BLANKS)} is too high; expected 1 to {HIGHEST_PORT}"
        name = lower(rest.partition(":")[0].strip(BLANKS)) if colon else "tcp"
        if name not in ("tcp", "udp"):
            return f"unknown protocol '{name}'; expected tcp or udp"
        steps.append(Step(port & HIGHEST_PORT, Protocol[name.upper()]))
    return tuple(steps)


def step_text(step: Step) -> str:
    """``step`` as one writes it in a sequence: ``7000``, ``8000:udp``."""
    return str(step.port) if step.protocol is Protocol.TCP else f"{step.port}:udp"


def sequence_text(steps: tuple[Step, ...]) -> str:
    """``steps`` as knockd prints them: ``7000:tcp,8000:udp``."""
    return ",".join(f"{step.port}:{step.protocol.name.lower()}" for step in steps)


@dataclass(frozen=True, slots=True)
class OneTimeLine:
    """A usable line of a one-time file: where it begins, in bytes, and what it says."""

    offset: int
    steps: tuple[Step, ...]


def one_time_lines(content: bytes) -> Iterator[OneTimeLine]:
    """The lines that are not used yet, from the top; those that say no sequence are passed over."""
    offset = 0
    for line in content.split(b"\n"):
        text = line.decode("utf-8", "surrogateescape").strip(BLANKS)
        if text and not text.startswith("#"):
            steps = parse_sequence(text)
            if not isinstance(steps, str):
                yield OneTimeLine(offset, steps)
        offset += len(line) + 1


def atoi(text: str) -> int:
    """C's atoi on a machine with 64-bit long: saturates as a long, then is cut to an int."""
    number = NUMBER.match(text)
    if number is None:
        return 0
    digits = number[1].lstrip("+-").lstrip("0")[:20] or "0"  # more of them saturate all the same
    value = -int(digits) if number[1].startswith("-") else int(digits)
    wide = max(-(2**63), min(2**63 - 1, value))
    return (wide + 2**31) % 2**32 - 2**31


def lower(text: str) -> str:
    """``text`` in lower case, ASCII letters only."""
    return "".join(c.lower() if c.isascii() else c for c in text)
