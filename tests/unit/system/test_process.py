"""Programs, and what a shell would say of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyknockd.system.process import NOT_FOUND, CommandError, output, spawn


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
    for start in (output, spawn):
        with pytest.raises(CommandError, match="/x: No such file or directory") as error:
            start([f"{tmp_path}/x"])
        assert error.value.status == NOT_FOUND


def test_both_outputs_of_a_program_are_read_together() -> None:
    process = spawn(["sh", "-c", "echo one; echo two >&2; exit 5"])
    assert process.communicate()[0] == b"one\ntwo\n"
    assert process.returncode == 5
