"""What a host lacks of what the files name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyknockd.config.advice import missing_programs


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of programs; there is one, ``there``."""
    program = tmp_path / "there"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "text").write_text("")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_a_program_that_is_there_is_not_missing(path: Path) -> None:
    assert missing_programs(["there -A %IP%", f"{path}/there"]) == []


def test_what_is_missing_is_named_once_in_the_order_of_the_file() -> None:
    commands = ["gone -A %IP%", "/nowhere/lost", "there", "gone -D %IP%"]
    assert missing_programs(commands) == ["gone", "/nowhere/lost"]


def test_a_file_that_cannot_be_run_is_no_program(path: Path) -> None:
    assert missing_programs(["text", f"{path}/text"]) == ["text", f"{path}/text"]


@pytest.mark.parametrize("command", ["true", "exit 3", "[ -e /tmp ]", ": nothing", "echo %IP%"])
def test_what_a_shell_can_do_by_itself_needs_no_program(command: str) -> None:
    assert missing_programs([command]) == []


@pytest.mark.parametrize(
    "command",
    ["gone | there", "gone; there", "gone && gone", "gone > /tmp/x", "X=1 gone", "$GONE", "", "  "],
)
def test_what_only_a_shell_can_tell_is_not_guessed_at(command: str) -> None:
    assert missing_programs([command]) == []
