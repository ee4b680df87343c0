"""What programs print, from the writing end of their pipes."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pyknockd.system.outputs import (
    MOST_BYTES_A_SECOND,
    MOST_LINE_BYTES,
    MOST_LINES,
    MOST_PIPES,
    Outputs,
    Printed,
)
from tests.support.lab import ROOT


@pytest.fixture
def outputs() -> Iterator[Outputs]:
    outputs = Outputs()
    yield outputs
    for pipe in outputs._pipes.values():
        os.close(pipe.reader)
        os.close(pipe.writer)


def write(outputs: Outputs, name: str, data: bytes) -> None:
    writer = outputs.writer(name)
    assert writer is not None
    assert os.write(writer, data) == len(data)


def readable(outputs: Outputs) -> bool:
    return bool(select.select([outputs.fileno()], [], [], 0)[0])


def test_lines_come_by_the_name_they_were_printed_for(outputs: Outputs) -> None:
    assert not readable(outputs)
    write(outputs, "ssh", b"one\ntwo\n")
    write(outputs, "web", b"three\n")
    assert readable(outputs)
    assert sorted(outputs.read(1.0), key=lambda one: one.name) == [
        Printed("ssh", ("one", "two")),
        Printed("web", ("three",)),
    ]
    assert not readable(outputs)
    assert outputs.read(1.0) == []


def test_a_line_is_told_when_it_is_whole_or_its_program_has_ended(outputs: Outputs) -> None:
    write(outputs, "ssh", b"on")
    assert outputs.read(1.0) == []
    write(outputs, "ssh", b"e\ntw")
    assert outputs.read(1.0) == [Printed("ssh", ("one",))]
    assert outputs.rest("ssh") == [Printed("ssh", ("tw",))]
    assert outputs.rest("ssh") == outputs.rest("nobody") == []


def test_bytes_that_are_no_text_are_told_all_the_same(outputs: Outputs) -> None:
    write(outputs, "ssh", b"\xff\xfe\n")
    assert outputs.read(1.0) == [Printed("ssh", ("\ufffd\ufffd",))]


def test_only_so_many_lines_are_told_at_a_time(outputs: Outputs) -> None:
    write(outputs, "ssh", b"y\n" * 1000)
    assert outputs.read(1.0) == [Printed("ssh", ("y",) * MOST_LINES, 1000 - MOST_LINES)]


def test_a_line_without_end_is_told_in_pieces(outputs: Outputs) -> None:
    write(outputs, "ssh", b"x" * 10_000)
    assert outputs.read(1.0) == [Printed("ssh", ("x" * MOST_LINE_BYTES,))]
    assert outputs.rest("ssh") == []


def test_whoever_prints_too_much_waits_for_the_next_second(outputs: Outputs) -> None:
    data = b"x" * 49_999 + b"\n"
    for _ in range(MOST_BYTES_A_SECOND // len(data) + 1):
        assert outputs.next_deadline() is None
        write(outputs, "ssh", data)
        outputs.read(1.0)
    write(outputs, "ssh", data)
    write(outputs, "web", b"I\n")  # one who comes meanwhile
    assert not readable(outputs)
    assert outputs.read(1.9) == []
    assert outputs.next_deadline() == 2.0
    assert len(outputs.read(2.0)) == 2
    assert outputs.next_deadline() is None


def test_only_so_many_names_have_a_pipe(outputs: Outputs) -> None:
    for number in range(MOST_PIPES):
        assert outputs.writer(str(number)) is not None
    assert outputs.writer("one too many") is None
    assert outputs.writer("0") == outputs.writer("0")


def test_where_nobody_hears_this_process_nobody_hears_its_programs() -> None:
    script = "from pyknockd.system.outputs import Outputs\nexit(Outputs().writer('ssh') is None)"
    words = [sys.executable, "-c", script]
    for where, status in ((subprocess.DEVNULL, 1), (subprocess.PIPE, 0)):
        assert subprocess.run(words, cwd=ROOT, stdout=where, check=False).returncode == status
