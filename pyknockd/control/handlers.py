"""Requests → what is asked of the daemon, their arguments looked at first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from ipaddress import ip_address
from typing import Protocol

from pyknockd.control.answers import Status, Visit
from pyknockd.control.protocol import Refusal, Request
from pyknockd.control.watchers import Stream
from pyknockd.model import Past, Question

MOST_SECONDS = 10_000 * 365 * 86_400  # a length of time, or since 1970
MOST_ROWS = 10_000
WATCH = "watch"
_WHO = 64  # characters

# Called with a result, or a Refusal, once, now or later.
Answer = Callable[[object], None]


class Desk(Protocol):
    """What the daemon does for whoever asks. Every method may raise Refusal.

    ``who`` is the person in whose name it is done.
    """

    def status(self, answer: Callable[[Status], None]) -> None: ...
    def visits(self) -> list[Visit]: ...
    def history(
        self, question: Question, answer: Callable[[list[Past] | Refusal], None]
    ) -> None: ...
    def open(
        self, door: str, source: str, who: str, answer: Callable[[Visit | Refusal | None], None]
    ) -> None: ...
    def expire(self, now: float) -> None: ...
    def next_deadline(self) -> float | None: ...
    def close(self, door: str | None, source: str, who: str) -> list[Visit]: ...
    def extend(self, door: str, source: str, seconds: float, who: str) -> Visit: ...
    def reload(self) -> tuple[str, ...]: ...
    def metrics(self) -> str: ...
    def why(self, source: str | None) -> list[dict[str, object]]: ...
    def watch(self, source: str | None, stream: Stream) -> None: ...


class Handlers:
    """One function for each thing that can be asked."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._by_name: dict[str, Callable[[_Arguments, Answer], None]] = {
            "status": self._status,
            "doors": self._doors,
            "history": self._history,
            "open": self._open,
            "close": self._close,
            "extend": self._extend,
            "reload": self._reload,
            "metrics": self._metrics,
            "why": self._why,
        }

    def handle(self, request: Request, answer: Answer, stream: Stream) -> None:
        """Do it; ``answer`` is called with the result, now or later. Raises Refusal.

        ``stream`` is called with what follows upon "watch", each a line of its own.
        """
        given = _Arguments(request.arguments)
        handler = self._by_name.get(request.do)
        if request.do == WATCH:
            source = given.source(needed=False)
            answer({"watching": source})
            self._desk.watch(source, stream)
        elif handler is None:
            names = ", ".join((*self._by_name, WATCH))
            raise Refusal(f"nothing is called {request.do}; there are: {names}")
        else:
            handler(given, answer)

    def expire(self, now: float) -> None:
        """Answer whoever has waited for so long that he must be."""
        self._desk.expire(now)

    def next_deadline(self) -> float | None:
        """When ``expire`` has something to do, or None."""
        return self._desk.next_deadline()

    def _status(self, given: _Arguments, answer: Answer) -> None:
        self._desk.status(lambda status: answer(asdict(status)))

    def _doors(self, given: _Arguments, answer: Answer) -> None:
        answer([asdict(visit) for visit in self._desk.visits()])

    def _history(self, given: _Arguments, answer: Answer) -> None:
        question = Question(
            given.source(needed=False),
            given.text("door"),
            given.seconds("since"),
            min(int(given.seconds("most") or MOST_ROWS), MOST_ROWS),
        )
        self._desk.history(question, lambda found: answer(_rows(found)))

    def _open(self, given: _Arguments, answer: Answer) -> None:
        self._desk.open(
            given.door(),
            given.source() or "",
            given.who(),
            lambda found: answer(asdict(found) if isinstance(found, Visit) else found),
        )

    def _close(self, given: _Arguments, answer: Answer) -> None:
        closed = self._desk.close(given.text("door"), given.source() or "", given.who())
        answer([asdict(visit) for visit in closed])

    def _extend(self, given: _Arguments, answer: Answer) -> None:
        seconds = given.seconds("seconds")
        if not seconds:
            raise Refusal("by how many seconds?")
        visit = self._desk.extend(given.door(), given.source() or "", seconds, given.who())
        answer(asdict(visit))

    def _reload(self, given: _Arguments, answer: Answer) -> None:
        answer(list(self._desk.reload()))

    def _why(self, given: _Arguments, answer: Answer) -> None:
        answer(self._desk.why(given.source(needed=False)))

    def _metrics(self, given: _Arguments, answer: Answer) -> None:
        answer(self._desk.metrics())


def _rows(found: list[Past] | Refusal) -> object:
    return found if isinstance(found, Refusal) else [asdict(past) for past in found]


class _Arguments:
    """What was sent with a request, one by one. Every method raises Refusal."""

    def __init__(self, given: Mapping[str, object]) -> None:
        self._given = given

    def text(self, name: str) -> str | None:
        value = self._given.get(name)
        if value is None:
            return None
        try:
            # What no command line and no file could have said is not looked for anywhere.
            is_text = isinstance(value, str) and bool(value.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:
            is_text = False
        if not is_text:
            raise Refusal(f"{name} is no text")
        return str(value)

    def door(self) -> str:
        door = self.text("door")
        if door is None:
            raise Refusal("which door?")
        return door

    def source(self, *, needed: bool = True) -> str | None:
        """An address, in the one form that there is of it."""
        text = self.text("source")
        if text is None:
            if needed:
                raise Refusal("for which address?")
            return None
        try:
            address = ip_address(text)
        except ValueError as error:
            raise Refusal(f"'{text}' is no address, such as 192.0.2.7 or 2001:db8::7") from error
        if getattr(address, "scope_id", None):
            raise Refusal(f"{text}: write it without the part behind %")
        return str(getattr(address, "ipv4_mapped", None) or address)

    def seconds(self, name: str) -> float | None:
        value = self._given.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Refusal(f"{name} is no number")
        if not 0 < value <= MOST_SECONDS:
            raise Refusal(f"{name} is out of range")
        return float(value)

    def who(self) -> str:
        """A name as it may stand in the log."""
        text = self.text("who") or ""
        kept = "".join(letter for letter in text[:_WHO] if letter.isalnum() or letter in "._-")
        return kept or "root"
