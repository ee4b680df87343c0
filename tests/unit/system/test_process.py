"""Programs, and what a shell would say of them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pyknockd.system.process import (
    KILLED,
    NOT_EXECUTABLE,
    NOT_FOUND,
    QUIET,
    CommandError,
    Ended,
    Programs,
    Search,
    output,
    spawn,
)
from tests.support.lab import until


def finished(programs: Programs, count: int = 1) -> list[Ended]:
    """So many that have ended, once they have."""
    found: list[Ended] = []

    def all_have() -> bool:
        found.extend(programs.ended())
        return len(found) >= count

    until(all_have, "the programs end")
    return found


def test_what_a_program_prints_is_given_back() -> None:
    assert output(["printf", "a\\377b"]) == "a\N{REPLACEMENT CHARACTER}b"


def test_a_program_reads_nothing() -> None:
    assert output(["cat"]) == ""


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo out; echo error >&2; exit 3", "error"), ("echo ' out '; exit 3", "out")],
)
def test_a_program_that_fails_is_told_with_what_it_says(script: str, said: str) -> None:
    with pytest.raises(CommandError) as error:
        output(["sh", "-c", script])
    assert str(error.value) == f"sh -c {script}: {said}"
    assert error.value.status == 3


def test_a_program_that_is_not_there_is_told_as_a_shell_tells_it(tmp_path: Path) -> None:
    for start in (output, spawn, Search):
        with pytest.raises(CommandError, match="/x: No such file or directory") as error:
            start([f"{tmp_path}/x"])
        assert error.value.status == NOT_FOUND


def test_both_outputs_of_a_program_are_read_together() -> None:
    process = spawn(["sh", "-c", "echo one; echo two >&2; exit 5"])
    assert process.communicate()[0] == b"one\ntwo\n"
    assert process.returncode == 5


@pytest.mark.parametrize("status", [0, 1, 3, 127, 255])
def test_a_program_that_has_ended_is_told_once_by_its_key_and_status(status: int) -> None:
    programs = Programs()
    programs.start("key", ["sh", "-c", f"exit {status}"])
    assert len(programs) == 1
    assert finished(programs) == [Ended("key", status)]
    assert programs.ended() == []
    assert len(programs) == 0


def test_a_program_that_a_signal_ended_has_the_status_that_a_shell_gives(tmp_path: Path) -> None:
    programs = Programs()
    pid = tmp_path / "pid"
    programs.start("key", ["sh", "-c", f"echo $$ > {pid}; exec sleep 600"])
    until(lambda: pid.exists() and pid.read_text().endswith("\n"), "it runs")
    assert programs.ended() == []
    os.kill(int(pid.read_text()), signal.SIGTERM)
    assert finished(programs) == [Ended("key", KILLED + signal.SIGTERM)]


def test_programs_run_beside_each_other(tmp_path: Path) -> None:
    """Each waits for the other."""
    for name in "ab":
        os.mkfifo(tmp_path / name)
    programs = Programs()
    programs.start(1, ["sh", "-c", f"echo > {tmp_path}/a; cat {tmp_path}/b"], QUIET)
    programs.start(2, ["sh", "-c", f"cat {tmp_path}/a; echo > {tmp_path}/b; exit 2"], QUIET)
    assert sorted((one.key, one.status) for one in finished(programs, 2)) == [(1, 0), (2, 2)]


def test_a_program_that_cannot_be_started_is_told_as_a_shell_tells_it(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a program")
    cases = [
        (f"{tmp_path}/none", NOT_FOUND, f"{tmp_path}/none: no such program"),
        (f"{tmp_path}/text", NOT_EXECUTABLE, "Permission denied"),
        (f"{tmp_path}", NOT_EXECUTABLE, "Permission denied"),
        ("a\0b", NOT_EXECUTABLE, "null byte"),
    ]
    programs = Programs()
    for word, status, said in cases:
        with pytest.raises(CommandError, match=said) as error:
            programs.start("key", [word])
        assert error.value.status == status
    assert len(programs) == 0


def test_a_program_reads_nothing_and_prints_where_it_is_told_to(
    capfd: pytest.CaptureFixture[str],
) -> None:
    programs = Programs()
    reader, writer = os.pipe()
    for number, where in enumerate((QUIET, None, writer)):
        words = ["sh", "-c", f"cat; echo out{number}; echo error{number} >&2"]
        programs.start(number, words, where)
    finished(programs, 3)
    assert tuple(capfd.readouterr()) == ("out1\n", "error1\n")
    assert os.read(reader, 100) == b"out2\nerror2\n"
    os.close(reader)
    os.close(writer)


def test_a_program_holds_none_of_the_daemons_files_open(tmp_path: Path) -> None:
    programs = Programs()
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), False)
        programs.start("key", ["sh", "-c", f"test ! -e /proc/self/fd/{file.fileno()}"])
        assert finished(programs) == [Ended("key", 0)]


def over(search: Search) -> bool:
    until(search.is_over, "the search is over")
    return True


@pytest.mark.parametrize(
    ("script", "answer"),
    [("cat; echo one; echo two >&2", "one\n"), ("echo one; exit 2", ""), ("true", "")],
)
def test_a_search_that_is_over_has_an_answer_unless_it_failed(script: str, answer: str) -> None:
    search = Search(["sh", "-c", script])
    assert over(search)
    assert search.answer() == answer


def test_whoever_keeps_the_pipe_of_a_search_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")
    search = Search(["sh", "-c", f"cat {tmp_path}/never & echo one"])
    assert over(search)
    assert search.answer() == "one\n"
    search.kill()  # nobody is left by now but the child


def test_the_children_of_a_search_are_killed_with_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")
    search = Search(["sh", "-c", f"cat {tmp_path}/never & echo $! > {tmp_path}/pid; wait"])
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "it runs")
    search.kill()
    assert over(search)
    child = Path("/proc", (tmp_path / "pid").read_text().strip(), "cmdline")
    until(lambda: not child.exists() or not child.read_bytes(), "the child is gone")
