"""A daemon's side of knockctl that does nothing."""

from __future__ import annotations

from collections.abc import Callable

from pyknockd.control import Refusal, Status, Stream, Visit
from pyknockd.model import Past, Question


class NoDesk:
    """Refuses to be asked anything; a test takes the place of what it needs."""

    def status(self, answer: Callable[[Status], None]) -> None:
        raise NotImplementedError

    def visits(self) -> list[Visit]:
        raise NotImplementedError

    def history(self, question: Question, answer: Callable[[list[Past] | Refusal], None]) -> None:
        raise NotImplementedError

    def open(
        self, door: str, source: str, who: str, answer: Callable[[Visit | Refusal | None], None]
    ) -> None:
        raise NotImplementedError

    def expire(self, now: float) -> None:
        pass

    def next_deadline(self) -> float | None:
        return None

    def close(self, door: str | None, source: str, who: str) -> list[Visit]:
        raise NotImplementedError

    def extend(self, door: str, source: str, seconds: float, who: str) -> Visit:
        raise NotImplementedError

    def reload(self) -> tuple[str, ...]:
        raise NotImplementedError

    def metrics(self) -> str:
        raise NotImplementedError

    def why(self, source: str | None) -> list[dict[str, object]]:
        raise NotImplementedError

    def watch(self, source: str | None, stream: Stream) -> None:
        raise NotImplementedError
