"""Flood control: what keeps a flood of first knocks from costing more than it must.

Nearly every packet of a flood comes from a source that never sends a second one. So, once more
unknown sources than ``rate`` have knocked within a second, the first packet of each further one is put
aside as it is, unread. When the same source sends another, both are looked at, in order and with
their times: nobody who knocks at all the ports is missed. What may do something by itself is never
put aside (``Listen.can_wait``). No more than ``most`` packets are kept, the oldest are forgotten
first, and none for longer than ``patience`` seconds: then nothing waits for its source any more.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from pyknockd.capture.decode import Frame, knock_of, source_of, step_of, text_of
from pyknockd.model import Listen, Protocol
from pyknockd.model.events import FirstKnocksLeftOut

_SECOND = 1.0
_PORTS = 65_536


class Flood:
    """``knows`` tells whether anything is known of a source already: then its packets pass at once.

    ``rate``, ``most`` and ``patience`` may be changed at any time.
    """

    def __init__(self, knows: Callable[[str], bool], rate: int, most: int, patience: float) -> None:
        self.rate = rate
        self.most = most
        self.patience = patience
        self._knows = knows
        # For each port whether its packets cannot wait; no protocol without such a port.
        self._urgent: dict[Protocol, bytes] = {}
        self._aside: OrderedDict[bytes, Frame] = OrderedDict()
        self._second = 0.0
        self._unknown = 0
        self._left_out = 0
        self._tell_at = 0.0
        self._forget_at = 0.0

    def listen(self, listens: Iterable[Listen]) -> None:
        """Put nothing aside from now on that one of ``listens`` cannot wait for."""
        urgent: dict[Protocol, bytearray] = {}
        for one in listens:
            if not one.can_wait:
                ports = urgent.setdefault(one.protocol, bytearray(_PORTS))
                ports[one.low : one.high + 1] = b"\1" * (one.high + 1 - one.low)
        self._urgent = {protocol: bytes(ports) for protocol, ports in urgent.items()}

    def sift(self, frame: Frame) -> tuple[Frame, ...]:
        """The frames to be looked at now that this one has come, the oldest first."""
        source = source_of(frame)
        if source is None:
            return (frame,)
        earlier = self._aside.pop(source, None)
        if earlier is not None:
            return (earlier, frame)
        if self._knows(text_of(source)) or (self._urgent and self._is_urgent(frame)):
            return (frame,)
        if frame.time - self._second >= _SECOND:
            self._second, self._unknown = frame.time, 0
        self._unknown += 1
        if self._unknown <= self.rate:
            return (frame,)
        self._put_aside(source, frame)
        return ()

    def events(self, now: float) -> list[FirstKnocksLeftOut]:
        """Once a second: how many first knocks were put aside. What is of no more use is forgotten."""
        self._forget(now)
        if not self._left_out or now < self._tell_at:
            return []
        count, self._left_out = self._left_out, 0
        return [FirstKnocksLeftOut(now, count)]

    def next_deadline(self) -> float | None:
        """When ``events`` has something to do, or None."""
        deadlines = [self._tell_at] if self._left_out else []
        for oldest in self._aside.values():
            deadlines.append(max(oldest.time + self.patience, self._forget_at))
            break
        return min(deadlines, default=None)

    def _is_urgent(self, frame: Frame) -> bool:
        heard = step_of(frame) or knock_of(frame)
        if heard is None:
            return False
        ports = self._urgent.get(heard.protocol)
        return ports is not None and bool(ports[heard.port])

    def _put_aside(self, source: bytes, frame: Frame) -> None:
        if not self._left_out:
            self._tell_at = frame.time + _SECOND
        self._left_out += 1
        self._aside[source] = frame
        while len(self._aside) > self.most:
            self._aside.popitem(last=False)

    def _forget(self, now: float) -> None:
        """Once a second: let go what was put aside too long ago."""
        if not self._aside or now < self._forget_at:
            return
        self._forget_at = now + _SECOND
        while self._aside and next(iter(self._aside.values())).time + self.patience <= now:
            self._aside.popitem(last=False)
        if not self._aside:
            self._aside = OrderedDict()  # an emptied one keeps its size
