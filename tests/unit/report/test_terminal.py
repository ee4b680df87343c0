"""Colours and the bar, on a terminal of our own."""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pyknockd.report.story import Kind, Told
from pyknockd.report.terminal import Bar, Page


class Terminal:
    """Its far end is ``stream``; ``text`` is what has come through since the last call."""

    def __init__(self) -> None:
        self.near, far = pty.openpty()
        os.set_blocking(self.near, False)
        self.stream = os.fdopen(far, "w", encoding="utf-8")

    def text(self) -> str:
        self.stream.flush()
        try:
            return os.read(self.near, 65_536).decode()
        except BlockingIOError:
            return ""

    def close(self) -> None:
        self.stream.close()
        os.close(self.near)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with closing(Terminal()) as made:
        yield made


def stand_before(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output and error lead to it, and nobody forbids colours."""
    monkeypatch.setattr(sys, "stdout", terminal.stream)
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def show(page: Page) -> None:
    for kind in Kind:
        page.show(Told(kind, kind.value))
    page.flush()


def test_on_a_terminal_there_are_colours(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_before(terminal, monkeypatch)
    show(Page())
    text = terminal.text()
    assert "\033[32mopened\033[0m" in text
    assert "\r\nheard\r\n" in text


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_forbidden(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    stand_before(terminal, monkeypatch)
    monkeypatch.setenv(name, value)
    show(Page())
    assert "\033" not in terminal.text()


def test_elsewhere_there_are_none(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    show(Page())
    assert b"\033" not in capsysbinary.readouterr().out


def test_what_is_no_text_is_written_as_it_is(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    page = Page()
    page.write("caf\udce9 …")
    page.flush()
    assert capsysbinary.readouterr().out == b"caf\xe9 \xe2\x80\xa6\n"


def test_the_bar_shows_how_far_it_is_and_goes(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_before(terminal, monkeypatch)
    bar = Bar(200)
    bar.show(50)
    bar.show(51)  # too soon after
    assert terminal.text().count("\r") == 1
    bar.clear()
    assert terminal.text() == "\r\033[K"


def test_the_bar_is_as_full_as_the_work_is_done(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_before(terminal, monkeypatch)
    Bar(200).show(100)
    assert f"[{'#' * 15}{'.' * 15}]  50%" in terminal.text()


def test_without_a_size_or_a_terminal_there_is_no_bar(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_before(terminal, monkeypatch)
    nothing = Bar(0)
    nothing.show(1)
    nothing.clear()
    assert terminal.text() == ""
    with (tmp_path / "error").open("w") as file:
        monkeypatch.setattr(sys, "stderr", file)
        bar = Bar(10)
        bar.show(5)
        bar.clear()
    assert (tmp_path / "error").read_text() == ""
