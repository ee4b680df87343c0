"""The loop's clock, which never goes back, and the wall's."""

from __future__ import annotations

from time import localtime, monotonic, strftime, time


def wall(moment: float) -> float:
    """A time of the loop, in seconds since 1970."""
    return time() - monotonic() + moment


def shown(moment: float) -> str:
    """A time of the loop as people write it: with its day, if that is not today."""
    found = localtime(wall(moment))
    is_today = found[:3] == localtime()[:3]
    return strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M", found)
