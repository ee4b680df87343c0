"""What keeps a flood of first knocks from costing more than it must.

Nearly every packet of a flood comes from a source that never sends a second one. So, once more
unknown sources than ``rate`` have knocked within a second, the first packet of each further one is put
aside as it is, unread. When the same source sends another, both are looked at, in order and with
their times: nobody who knocks at all the ports is missed. No more than ``most`` packets are kept; the
oldest are forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from pyknockd.capture.decode import source_of, text_of
from pyknockd.model import Link


@dataclass(frozen=True, slots=True)
class _Aside:
    """A packet that was put aside, and when it came."""

    frame: bytes
    time: float


class Sieve:
    """``knows`` tells whether anything is known of a source already: then its packets pass at once."""

    def __init__(self, knows: Callable[[str], bool], rate: int, most: int) -> None:
        self._knows = knows
        self._rate = rate
        self._most = most
        self._aside: OrderedDict[bytes, _Aside] = OrderedDict()
        self._second = 0.0
        self._unknown = 0
        self._put_aside = 0

    def sift(self, frame: bytes, link: Link, now: float) -> tuple[tuple[bytes, float], ...]:
        """The frames to be looked at now that this one has come, each with its age in seconds."""
        source = source_of(frame, link)
        if source is None:
            return ((frame, 0.0),)
        earlier = self._aside.pop(source, None)
        if earlier is not None:
            return ((earlier.frame, now - earlier.time), (frame, 0.0))
        if self._knows(text_of(source)):
            return ((frame, 0.0),)
        if now - self._second >= 1:
            self._second, self._unknown = now, 0
        self._unknown += 1
        if self._unknown <= self._rate:
            return ((frame, 0.0),)
        self._aside[source] = _Aside(frame, now)
        self._put_aside += 1
        if len(self._aside) > self._most:
            self._aside.popitem(last=False)
        return ()

    def put_aside(self) -> int:
        """How many packets were put aside since the last call."""
        count, self._put_aside = self._put_aside, 0
        return count
