"""The files and the command line, as one configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyknockd.config import ConfigError, Freshness
from pyknockd.reading import Files, here
from tests.support.doors import GOOD

ONCE = "[once]\none_time_sequences = once\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "once").write_text("1,2\n3,4\n")
    return tmp_path


def files(text: str = GOOD, *, in_background: bool = False) -> Files:
    Path("knockd.conf").write_text(text)
    return Files("knockd.conf", "pyknockd.yaml", here(), False, "log", "pid", in_background)


def test_the_command_line_holds_where_the_file_says_nothing() -> None:
    config = files().read().config
    assert (config.log_file, config.pid_file) == ("log", "pid")
    config = files(f"[options]\nLogFile = mine\nPidFile = /mine\n{GOOD}").read().config
    assert (config.log_file, config.pid_file) == ("mine", "/mine")


def test_in_the_background_each_path_begins_at_the_root(folder: Path) -> None:
    config = files(GOOD + ONCE, in_background=True).read().config
    assert (config.log_file, config.pid_file) == (f"{folder}/log", f"{folder}/pid")


def test_that_of_one_time_sequences_always_does(folder: Path) -> None:
    assert files(GOOD + ONCE).read().config.doors[-1].one_time_file == f"{folder}/once"


def test_what_is_read_again_is_read_where_it_was(folder: Path) -> None:
    reading = files(GOOD + ONCE)
    os.chdir("/")
    fresh = Freshness(reading.paths)
    assert [door.name for door in reading.read_again(fresh).doors] == ["ssh", "once"]
    assert os.getcwd() == "/"


def test_what_is_taken_over_is_no_news(folder: Path) -> None:
    reading = files()
    fresh = Freshness(reading.paths)
    (folder / "knockd.conf").write_text(f"{GOOD}# changed\n")
    os.chdir("/")
    assert len(fresh.remarks(reading.read)) == 1
    reading.read_again(fresh)
    assert fresh.remarks(reading.read) == ()


def test_what_is_taken_is_there_in_the_place_of_mistakes(folder: Path) -> None:
    (folder / "pyknockd.yaml").write_text("last_good: true\n")
    again = files(GOOD + ONCE)
    again.read_again(Freshness(again.paths))
    reading = files("[ssh\nsequense = 1\n")
    with pytest.raises(ConfigError) as error:
        reading.read()
    found = reading.read_instead(error.value)
    assert found is not None
    loaded, taken = found
    assert loaded.config.doors[-1].one_time_file == f"{folder}/once"
    assert taken.lines == error.value.mistakes
    assert taken.path.endswith(".last-good.conf")


def test_a_copy_that_cannot_be_kept_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "pyknockd.yaml").write_text("last_good: true\n")
    reading = files()
    monkeypatch.setenv("STATE_DIRECTORY", "/nowhere")
    (told,) = reading.keep(reading.read())
    assert told.text.startswith("the last good file cannot be kept: ")
    (folder / "pyknockd.yaml").unlink()
    assert reading.keep(reading.read()) == []
