"""knockctl's side of the wire."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyknockd.control import client
from pyknockd.control.client import NotReached, ask
from pyknockd.control.protocol import Refusal, Request, answer_line, refusal_line


@contextmanager
def daemon(path: Path, answer: bytes | None) -> Iterator[list[bytes]]:
    """Says ``answer`` to the first who asks and hangs up; None: it says nothing, and stays."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        done = threading.Event()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                heard.append(connection.recv(1000))
                connection.sendall(answer or b"")
                if answer is None:
                    done.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield heard
        finally:
            done.set()
            thread.join()


def test_the_result_is_what_was_answered(tmp_path: Path) -> None:
    with daemon(tmp_path / "control", answer_line([1])) as heard:
        assert ask(tmp_path / "control", Request("doors", {})) == [1]
    assert heard == [b'{"version": 1, "do": "doors"}\n']


def test_a_refusal_is_raised(tmp_path: Path) -> None:
    with daemon(tmp_path / "control", refusal_line("no")), pytest.raises(Refusal, match=r"^no$"):
        ask(tmp_path / "control", Request("doors", {}))


def test_who_is_hung_up_on_is_told_why_that_may_be(tmp_path: Path) -> None:
    with daemon(tmp_path / "control", b""), pytest.raises(NotReached, match="it answers root only"):
        ask(tmp_path / "control", Request("doors", {}))


def test_half_an_answer_is_none(tmp_path: Path) -> None:
    with (
        daemon(tmp_path / "control", b'{"version": 1, "ok'),
        pytest.raises(Refusal, match="not understood"),
    ):
        ask(tmp_path / "control", Request("doors", {}))


def test_a_daemon_that_does_not_answer_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PATIENCE", 0.05)
    with daemon(tmp_path / "control", None), pytest.raises(NotReached, match="timed out"):
        ask(tmp_path / "control", Request("doors", {}))


def test_where_nobody_listens_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotReached, match="No such file"):
        ask(tmp_path / "control", Request("doors", {}))
    (tmp_path / "control").write_text("")
    with pytest.raises(NotReached, match="refused"):
        ask(tmp_path / "control", Request("doors", {}))
    with pytest.raises(NotReached, match="too long"):
        ask(tmp_path / ("x" * 200), Request("doors", {}))
