"""Of several daemons one does a thing: it holds a locked file, which says who it is.

Whoever can open a file can lock it. So this one is its owner's alone, in a folder that nobody else
can change; and it is never removed, lest two daemons hold two files of one name.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

_MODE = 0o600
_MOST_BYTES = 8_192


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a claim, or held it last: its process, and ``about``, what it said of itself."""

    pid: int
    about: str


class ClaimedError(Exception):
    """Another process holds the claim."""

    def __init__(self, holder: Holder) -> None:
        super().__init__()
        self.holder = holder


class Claim:
    """Held until it is closed, and no longer than its process lives."""

    def __init__(self, path: Path, about: str) -> None:
        """Raises ClaimedError, and OSError if the file cannot be had."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, _MODE)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            text = f"{os.getpid()}\n{about}".encode("utf-8", "surrogateescape")
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, text, 0)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise ClaimedError(holder(path) or Holder(0, "")) from error
        except OSError:
            os.close(self._descriptor)
            raise

    def close(self) -> None:
        """Let go of it; the file goes on to say who held it."""
        os.close(self._descriptor)


def holder(path: Path) -> Holder | None:
    """Who holds or held the claim at ``path``; None if that cannot be read."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8", "surrogateescape")
        pid, _, about = text.partition("\n")
        return Holder(int(pid), about)
    except (OSError, ValueError):
        return None
