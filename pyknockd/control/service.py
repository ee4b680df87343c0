"""The daemon's side of the wire: lines that clients send → handlers → lines that they get."""

from __future__ import annotations

from functools import partial

from pyknockd.control.handlers import WATCH, Handlers
from pyknockd.control.protocol import Refusal, answer_line, event_line, refusal_line, request_of
from pyknockd.control.server import MOST_ANSWER_BYTES, Asked, Server


class Service:
    """Answers, as they come, the requests that ``server`` hears."""

    def __init__(self, server: Server, handlers: Handlers) -> None:
        self._server = server
        self._handlers = handlers

    def fileno(self) -> int:
        """Readable when ``work`` has something to do."""
        return self._server.fileno()

    def work(self, now: float) -> None:
        """Answer what has been asked, some of it at a time."""
        for asked in self._server.work(now):
            self._answer(asked)
        self._handlers.expire(now)
        self._server.let_go(now)

    def next_deadline(self) -> float | None:
        """When ``work`` has something to do, though nobody asks, or None."""
        deadlines = (self._server.next_deadline(), self._handlers.next_deadline())
        return min((one for one in deadlines if one is not None), default=None)

    def close(self) -> None:
        self._server.close()

    def _answer(self, asked: Asked) -> None:
        answer = partial(self._send, asked.client)
        try:
            request = request_of(asked.line)
            if request.do == WATCH:
                self._server.keep(asked.client)
            self._handlers.handle(request, answer, partial(self._stream, asked.client))
        except Refusal as refusal:
            self._server.send(asked.client, refusal_line(str(refusal)))

    def _stream(self, client: int, value: object) -> bool:
        self._server.send(client, event_line(value))
        return self._server.is_there(client)

    def _send(self, client: int, result: object) -> None:
        line = refusal_line(str(result)) if isinstance(result, Refusal) else answer_line(result)
        if len(line) > MOST_ANSWER_BYTES:
            line = refusal_line("the answer is too long: ask for less of it")
        self._server.send(client, line)
