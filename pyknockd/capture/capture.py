"""Frames in, knocks out: what comes in on the interfaces, on its way to the proofs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pyknockd.capture.copies import Copies
from pyknockd.capture.decode import knock_of
from pyknockd.capture.filter import Filter
from pyknockd.capture.flood import Flood
from pyknockd.capture.interfaces import Interfaces
from pyknockd.model import Knock, Listen
from pyknockd.model.events import CaptureEvent, PacketsDropped

_COUNT_SECONDS = 1.0


class Capture:
    """Listens on the interfaces ``wanted``: by name, ``any``, or ``auto`` (``Selection``).

    Those that are not there are waited for. ``fileno`` is readable when ``read`` has work.
    """

    def __init__(self, wanted: Sequence[str], flood: Flood, *, ipv4_only: bool = False) -> None:
        """Hears nothing before ``listen``."""
        self._interfaces = Interfaces(wanted)
        self._flood = flood
        self._copies = Copies()
        self._ipv4_only = ipv4_only
        # Whether packets have come since the kernel was asked how many it dropped, and when that was.
        self._has_read = False
        self._asked_at = 0.0

    def fileno(self) -> int:
        return self._interfaces.fileno()

    @property
    def names(self) -> tuple[str, ...]:
        """The interfaces that are listened on now."""
        return self._interfaces.names

    def listen(self, listens: Sequence[Listen]) -> None:
        """Listen for ``listens`` from now on, without a gap.

        Raises CaptureError for what waiting does not mend: at the start, such as a lack of
        privilege, and later if the kernel refuses the packet filter.
        """
        self._interfaces.listen(Filter(listens, ipv4_only=self._ipv4_only))
        self._flood.listen(listens)
        self._copies.listen(listens)

    def read(self, now: float) -> Iterator[Knock]:
        """The knocks that have come, a batch of each interface that has some.

        One by one: what flood control knows of a source is what came of its earlier knocks.
        """
        self._has_read = True
        targets = self._copies.targets
        for frame in self._interfaces.read(now):
            for passed in self._flood.sift(frame):
                knock = knock_of(passed)
                if knock is None or (
                    knock.destination in targets
                    and self._copies.is_copy(knock, passed.ingress.name, now)
                ):
                    continue
                yield knock

    def events(self, now: float) -> list[CaptureEvent]:
        """What has happened since the last call."""
        events: list[CaptureEvent] = [*self._interfaces.events(now), *self._flood.events(now)]
        if self._has_read and now - self._asked_at >= _COUNT_SECONDS:
            self._has_read, self._asked_at = False, now
            dropped = self._interfaces.dropped()
            if dropped:
                events.append(PacketsDropped(now, dropped))
        return events

    def next_deadline(self) -> float | None:
        """When ``events`` has something to do, though nothing comes, or None."""
        deadlines = [self._interfaces.next_deadline(), self._flood.next_deadline()]
        if self._has_read:
            deadlines.append(self._asked_at + _COUNT_SECONDS)
        return min((one for one in deadlines if one is not None), default=None)

    def close(self) -> None:
        self._interfaces.close()
