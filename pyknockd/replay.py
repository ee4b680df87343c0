"""A capture, played through the configuration in the packets' own time; nothing is run.

recorded frame → capture → Knock → proof → Event → doors, in rehearsal
                                             ↘ report: stories, or JSON

It is the daemon's line with other ends. The clock is that of the packets; where that goes back, what is
due waits until it has caught up.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pyknockd.capture import CaptureError, CaptureFile, Flood, Playback
from pyknockd.doors import Rehearsal
from pyknockd.model import ANY_INTERFACE, AUTO_INTERFACE, Config, Knock
from pyknockd.model.events import (
    EndCause,
    Event,
    NotHeard,
    NotHeardCause,
    Opened,
    SequenceChanged,
)
from pyknockd.proof import NEAR_PORTS, FilesInMemory, Marked, Proofs
from pyknockd.report import Bar, Kind, Page, Story, Told, json_line

_LOOK_PACKETS = 2_048  # how often is looked how far it is
TOLD_SECONDS = 60.0  # why a packet is not heard is told once in so long, for those that are alike
MOST_TOLD = 4_096
# Of these each is told: there are few, and each is a knock or would have been one.
_ALWAYS_TOLD = (NotHeardCause.REPEATED, NotHeardCause.TURNED_AWAY)
_ASK_SECONDS = 1.0  # how often flood control is asked what it has left out
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be replayed and how.

    ``path`` is a file's, or ``-``. ``addresses`` are the host's, none if they are to be found out.
    ``interfaces`` are those that are listened on, as the configuration names them.
    """

    path: str
    addresses: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()
    ipv4_only: bool = False
    as_json: bool = False


class _AtOnce:
    """A worker that lets nobody wait."""

    def submit(self, job: Callable[[], Callable[[], None]]) -> bool:
        job()()
        return True


class Replay:
    """The line from a recorded frame to events, which ``tell`` gets in their order."""

    def __init__(self, config: Config, request: Request, tell: Callable[[Event], None]) -> None:
        names = request.interfaces
        is_open = ANY_INTERFACE in names or AUTO_INTERFACE in names
        self._tell = tell
        self._marked: list[Marked] = []
        limits = config.extras.limits
        self._proofs = Proofs(
            config.doors, limits, _AtOnce(), self._marked.append, FilesInMemory().use
        )
        flood = Flood(self._proofs.knows, limits.first_knocks, limits.attempts, config.patience)
        self.playback = Playback(
            request.addresses, () if is_open else names, flood, ipv4_only=request.ipv4_only
        )
        self._doors = Rehearsal(limits)
        # When each packet that was not heard was told of, by what those alike have in common.
        self._told: OrderedDict[int, float] = OrderedDict()
        self._now = self._ask_at = 0.0
        self._wake_at = _NEVER
        self.playback.listen(self._proofs.listens(), NEAR_PORTS)

    def hear(self, knock: Knock) -> None:
        """Everything that comes of ``knock``, and what has come before it."""
        self.advance(knock.time)
        if not self.playback.is_listened_on(knock.interface):
            self._take(self._proofs.elsewhere(knock))
        else:
            self._take(self._proofs.feed(knock) or self._proofs.near(knock))
        while self._marked:
            self._take(self._proofs.settle(self._marked.pop(0)))

    def advance(self, now: float) -> None:
        """It is ``now`` that time: what is over is over, and what is due is done."""
        while self._wake_at <= now:
            self._take(self._proofs.expire(self._wake_at))
            # Its deadline is 0 where something waits only for the clock to be looked at.
            self._take(self._doors.work(max(self._wake_at, self._now)))
            self._set_clock()
        self._now = now
        if now >= self._ask_at:
            self._ask_at = now + _ASK_SECONDS
            self._take(self.playback.events(now))

    def end(self) -> None:
        """There is nothing more to hear. What stands open is closed when its time comes."""
        self._take(self.playback.events(self._now + _ASK_SECONDS))
        self._take(self._proofs.end(self._now, EndCause.CAPTURE_ENDED))
        while self._wake_at < _NEVER:
            self.advance(self._wake_at)

    def _take(self, events: Iterable[Event]) -> None:
        happened = False
        for event in events:
            if isinstance(event, NotHeard):
                if not self._is_told_already(event):
                    self._tell(event)
                continue
            happened = True
            self._tell(event)
            if isinstance(event, Opened):
                for following in self._doors.take(event):
                    self._tell(following)
            elif isinstance(event, SequenceChanged):
                self.playback.listen(self._proofs.listens(), NEAR_PORTS)
        if happened:
            self._set_clock()

    def _set_clock(self) -> None:
        deadlines = (self._proofs.next_deadline(), self._doors.next_deadline())
        self._wake_at = min((one for one in deadlines if one is not None), default=_NEVER)

    def _is_told_already(self, event: NotHeard) -> bool:
        """So that one connection to a busy port is told of once, and not with each of its packets."""
        if event.cause in _ALWAYS_TOLD:
            return False
        knock = event.knock
        alike = hash(
            (
                *(knock.source, knock.destination, knock.protocol, knock.port, knock.source_port),
                *(knock.flags, knock.interface, event.cause),
            )
        )
        told = self._told.get(alike)
        if told is not None and event.time - told < TOLD_SECONDS:
            return True
        self._told[alike] = event.time
        self._told.move_to_end(alike)
        if len(self._told) > MOST_TOLD:
            self._told.popitem(last=False)
        return False


class _Reading:
    """One run: the capture, the events that it makes, and who reads them."""

    def __init__(self, config: Config, request: Request) -> None:
        """Raises CaptureError."""
        self._file = CaptureFile(request.path)
        self.is_stream = not self._file.size
        self._page = Page()
        self._story = None if request.as_json else Story()
        self.replay = Replay(config, request, self._take)
        self.packets = 0
        self._first = self._last = 0.0

    def run(self) -> None:
        """Raises CaptureError where the capture is damaged; what came before has been taken."""
        bar = Bar(self._file.size)
        knocks_of, hear = self.replay.playback.knocks_of, self.replay.hear
        try:
            for recorded in self._file.packets():
                self._last = recorded.time
                if not self.packets:
                    self._first = recorded.time
                self.packets += 1
                if not self.packets % _LOOK_PACKETS:
                    bar.show(self._file.position)
                for knock in knocks_of(recorded):
                    hear(knock)
        finally:
            bar.clear()
            self.replay.advance(self._last)
            self.replay.end()
            self._file.close()

    def tell(self) -> None:
        """What there is to read once all has been heard. Raises OSError."""
        if self._story is not None:
            for line in self._story.lines(_time_text):
                self._page.show(line)
            self._page.show(Told(Kind.SOURCE, self._summary(self._story)))
        self._page.flush()

    def _take(self, event: Event) -> None:
        if self._story is not None:
            self._story.take(event)
            return
        self._page.write(json_line(event))
        if self.is_stream:
            self._page.flush()

    def _summary(self, story: Story) -> str:
        addresses = ", ".join(self.replay.playback.addresses) or "no address"
        packets = f"{_count(self.packets, 'packet')} in {self._last - self._first:,.0f} s"
        heard = f"{self.replay.playback.count:,} to a port of a sequence, or near one"
        return f"{packets}, {heard}; {_count(story.openings, 'opening')}. The host: {addresses}"


def main(config: Config, request: Request) -> int:
    """Replay, and tell. Returns the exit status: 0 if the whole capture has been read."""
    try:
        trouble = _read_and_tell(config, request)
    except CaptureError as error:
        trouble = str(error)
    except OSError as error:
        # Python is not to try again at its end. Who closes a pipe has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        trouble = "" if error.errno == errno.EPIPE else f"cannot write: {error.strerror}"
        if not trouble:
            return 1
    if trouble:
        print(f"knockd: {trouble}", file=sys.stderr)
    return 1 if trouble else 0


def _read_and_tell(config: Config, request: Request) -> str:
    """What kept the capture from being read to its end, if anything. Raises CaptureError, OSError."""
    reading, trouble = _Reading(config, request), ""
    try:
        reading.run()
    except CaptureError as error:
        trouble = str(error)
        if reading.packets:
            trouble += f"; {_count(reading.packets, 'packet')} before that could be read"
    except KeyboardInterrupt:
        # So ends who wants it a capture that is being made.
        trouble = "" if reading.is_stream else "interrupted"
    reading.tell()
    return trouble


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _time_text(seconds: float) -> str:
    whole, rest = divmod(round(seconds * 1_000_000), 1_000_000)
    try:
        moment = time.localtime(whole)
    except (OSError, OverflowError, ValueError):
        return f"{seconds:.3f}"  # no time that a calendar has
    return time.strftime("%Y-%m-%d %H:%M:%S", moment) + f".{rest // 1_000:03}"
