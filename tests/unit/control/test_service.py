"""Lines that clients send, answered."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyknockd.control.handlers import Desk, Handlers
from pyknockd.control.protocol import Refusal, Request, request_line, result_of
from pyknockd.control.server import IDLE_SECONDS, MOST_ANSWER_BYTES, Server
from pyknockd.control.service import Service
from pyknockd.model import Past, Question
from tests.support.desk import NoDesk


class Answers(NoDesk):
    """Answers at once, later, or too much."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []

    def metrics(self) -> str:
        return "counts"

    def reload(self) -> tuple[str, ...]:
        return ("x" * MOST_ANSWER_BYTES,)

    def history(self, question: Question, answer: Callable[[list[Past] | Refusal], None]) -> None:
        self.later.append(lambda: answer([]))
        self.later.append(lambda: answer(Refusal("the disk")))


@pytest.fixture
def desk() -> Answers:
    return Answers()


@pytest.fixture
def service(desk: Desk, tmp_path: Path) -> Iterator[Service]:
    made = Service(Server(tmp_path / "control"), Handlers(desk))
    yield made
    made.close()


@pytest.fixture
def connection(service: Service, tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(5)
        made.connect(str(tmp_path / "control"))
        yield made


def answer(service: Service, connection: socket.socket, line: bytes) -> object:
    connection.sendall(line)
    for _ in range(4):
        service.work(0.0)
    return result_of(connection.makefile("rb").readline())


def test_what_is_asked_is_answered(service: Service, connection: socket.socket) -> None:
    assert answer(service, connection, request_line(Request("metrics", {}))) == "counts"


@pytest.mark.parametrize("line", [b"garbage\n", b"\n", b"\xff\xfe\n", b'{"version":1,"do":"no"}\n'])
def test_what_cannot_be_done_is_refused_and_the_next_is_answered(
    service: Service, connection: socket.socket, line: bytes
) -> None:
    with pytest.raises(Refusal):
        answer(service, connection, line)
    assert answer(service, connection, request_line(Request("metrics", {}))) == "counts"


def test_an_answer_may_come_later_and_be_a_refusal(
    service: Service, connection: socket.socket, desk: Answers
) -> None:
    for number, expected in ((0, b'"result": []'), (3, b'"error": "the disk"')):
        connection.sendall(request_line(Request("history", {})))
        service.work(0.0)
        service.work(0.0)
        desk.later[number]()
        assert expected in connection.recv(1000)


def test_an_answer_that_is_too_long_says_so(service: Service, connection: socket.socket) -> None:
    with pytest.raises(Refusal, match="too long: ask for less"):
        answer(service, connection, request_line(Request("reload", {})))


def test_who_is_idle_is_let_go(service: Service, connection: socket.socket) -> None:
    service.work(5.0)
    assert service.next_deadline() == 5.0 + IDLE_SECONDS
    service.work(5.0 + IDLE_SECONDS)
    assert connection.recv(1) == b""
    assert service.next_deadline() is None
