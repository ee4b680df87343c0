"""What a person reads at once: lines with colours where they are wanted, and how far a work is."""

from __future__ import annotations

import os
import sys
import time

from pyknockd.report.story import Kind, Told
from pyknockd.system.text import is_plain

BAR_WIDTH = 30  # characters
_LOOK_SECONDS = 0.1  # how often the bar changes
_PLAIN, _BOLD, _GREEN, _YELLOW, _GREY = (f"\033[{code}m" for code in ("0", "1", "32", "33", "90"))
_COLOURS = {
    Kind.SOURCE: _BOLD,
    Kind.OPENED: _GREEN,
    Kind.ENDED: _YELLOW,
    Kind.LEFT_OUT: _GREY,
}


class Page:
    """Standard output."""

    def __init__(self) -> None:
        self._coloured = sys.stdout.isatty() and not is_plain(os.environ)

    def show(self, line: Told) -> None:
        """One line. Raises OSError if nobody reads any more."""
        colour = _COLOURS.get(line.kind, "") if self._coloured else ""
        self.write(f"{colour}{line.text}{_PLAIN}" if colour else line.text)

    def write(self, text: str) -> None:
        """One line as it is. Raises OSError."""
        # As bytes: a door's name need not be text in anybody's encoding.
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")

    def flush(self) -> None:
        """Whoever reads gets what has been written. Raises OSError."""
        sys.stdout.buffer.flush()


class Bar:
    """On standard error, written over; nothing if that is no terminal or the ``size`` is not known."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._is_shown = size > 0 and sys.stderr.isatty()
        self._looked = 0.0

    def show(self, position: int) -> None:
        """``position`` of the size are done."""
        now = time.monotonic()
        if not self._is_shown or now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        share = min(1.0, position / self._size)
        done = round(share * BAR_WIDTH)
        bar = "#" * done + "." * (BAR_WIDTH - done)
        print(f"\r[{bar}] {share:4.0%}\033[K", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._is_shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
