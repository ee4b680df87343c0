"""Whether the files are still those that hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyknockd.config.files import ConfigError


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What tells one version of a file from another, without reading it."""

    inode: int
    size: int
    changed: int


class Freshness:
    """Of the files ``paths``, as they were when they were last taken over."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = tuple(paths)
        self._taken = self._stamps()

    def take(self) -> None:
        """What the files say now holds from now on."""
        self._taken = self._stamps()

    def remarks(self, read: Callable[[], object]) -> tuple[str, ...]:
        """What there is to say of the files; ``read`` raises ConfigError if they have mistakes."""
        if self._stamps() == self._taken:
            return ()
        try:
            read()
        except ConfigError as error:
            return ("the files have mistakes, what they said before holds:", *error.lines)
        return ("the files are newer than what holds; to take them over: knockctl reload",)

    def _stamps(self) -> tuple[_Stamp | None, ...]:
        return tuple(_stamp(path) for path in self._paths)


def _stamp(path: str) -> _Stamp | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return _Stamp(status.st_ino, status.st_size, status.st_mtime_ns)
