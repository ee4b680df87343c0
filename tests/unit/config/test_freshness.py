"""Whether the files are still those that hold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyknockd.config import ConfigError
from pyknockd.config.freshness import Freshness

NEWER = ("the files are newer than what holds; to take them over: knockctl reload",)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "knockd.conf"
    made.write_text("[a]\n")
    return made


@pytest.fixture
def files(path: Path, tmp_path: Path) -> Freshness:
    return Freshness((str(path), str(tmp_path / "pyknockd.yaml")))


def fine() -> None:
    pass


def wrong() -> None:
    raise ConfigError(["knockd.conf:1: a mistake", "knockd.conf:2: another"])


def never() -> None:
    raise AssertionError("there is no need to read them")


def test_of_files_that_hold_nothing_is_to_be_said(files: Freshness) -> None:
    assert files.remarks(never) == ()


def test_one_that_is_written_anew_is_newer_until_it_is_taken(files: Freshness, path: Path) -> None:
    path.write_text("[other]\n")
    assert files.remarks(fine) == NEWER
    files.take()
    assert files.remarks(never) == ()


def test_so_is_one_of_the_same_length_put_in_its_place(
    files: Freshness, path: Path, tmp_path: Path
) -> None:
    status = path.stat()
    (tmp_path / "new").write_text("[b]\n")
    os.utime(tmp_path / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (tmp_path / "new").rename(path)
    assert files.remarks(fine) == NEWER


def test_one_that_comes_or_goes_is_newer_too(files: Freshness, path: Path, tmp_path: Path) -> None:
    (tmp_path / "pyknockd.yaml").write_text("timers: keep\n")
    assert files.remarks(fine) == NEWER
    files.take()
    path.unlink()
    assert files.remarks(fine) == NEWER


def test_the_mistakes_of_newer_ones_are_told(files: Freshness, path: Path) -> None:
    path.write_text("wrong\n")
    assert files.remarks(wrong) == (
        "the files have mistakes, what they said before holds:",
        "knockd.conf:1: a mistake",
        "knockd.conf:2: another",
    )
