"""What the client says: on standard output, on standard error, and how far several are."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from pyknockd.client.errands import Result, Seen
from pyknockd.system.text import columns

Say = Callable[[str], None]


def say(text: str) -> None:
    """Print on standard output, at once. That nobody reads it is no reason to knock no further."""
    try:
        print(text, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def warn(text: str) -> None:
    """Print on standard error, as this program."""
    print(f"knock: {text}", file=sys.stderr)


def silent(text: str) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Clocked:
    """Says each step with the seconds since the beginning."""

    say: Say
    began: float

    def __call__(self, text: str) -> None:
        self.say(f"{time.monotonic() - self.began:7.3f} s  {text}")


def result_text(result: Result) -> str:
    """In one line, what came of a host whose port was waited for."""
    at = f"{result.host}, port {result.port}"
    if result.seen is Seen.OPEN:
        return f"{at}: open after {result.seconds:.1f} s"
    knocks = "1 knock" if result.tries == 1 else f"{result.tries} knocks"
    return f"{at}: {result.seen.value} after {knocks} and {result.seconds:.1f} s"


def as_json(results: list[Result]) -> str:
    """For programs: a list, an object for each host."""
    plain = [
        {
            "name": one.name,
            "host": one.host,
            "result": one.seen.name.lower(),
            "port": one.port or None,
            "tries": one.tries,
            "seconds": round(one.seconds, 3),
            "status": one.status,
        }
        for one in results
    ]
    return json.dumps(plain, indent=2)


def table(results: list[Result]) -> str:
    """For people: one line a host."""
    rows = [("host", "address", "result", "knocks", "seconds")]
    for one in results:
        rows.append((one.name, one.host, one.seen.value, str(one.tries), f"{one.seconds:.1f}"))
    return "\n".join(columns(rows))


class Board:
    """A line for each host on a terminal, written over; nothing if standard error is none."""

    def __init__(self, names: list[str]) -> None:
        self._lines = dict.fromkeys(names, "…")
        self._lock = threading.Lock()
        self._is_shown = sys.stderr.isatty() and len(names) < os.get_terminal_size(2).lines
        self._drawn = 0

    def show(self, name: str, text: str) -> None:
        """What ``name`` is at now."""
        with self._lock:
            self._lines[name] = text
            if not self._is_shown:
                return
            up = f"\033[{self._drawn}A" if self._drawn else ""
            rows = "".join(f"\r{one}: {what}\033[K\n" for one, what in self._lines.items())
            self._drawn = len(self._lines)
            print(up + rows, end="", file=sys.stderr, flush=True)
