"""Openings as they are remembered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """Which openings are asked for, None is any: the last ``most`` since ``since``, seconds since 1970."""

    source: str | None
    door: str | None
    since: float | None
    most: int


@dataclass(frozen=True, slots=True)
class Past:
    """An opening. ``closed`` is None as long as it is not over. Times are seconds since 1970.

    ``cause`` is why it is over; the statuses are those of its commands.
    """

    door: str
    source: str
    opened: float
    closed: float | None
    state: str
    cause: str | None
    open_status: int | None
    close_status: int | None
