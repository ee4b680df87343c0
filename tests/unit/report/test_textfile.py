"""The counts as a file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pyknockd.model.events import Side, Trouble
from pyknockd.report.textfile import PERIOD_SECONDS, TextFile
from tests.support.lab import PATIENCE


def written(file: TextFile, now: float) -> list[Trouble]:
    """What there is to tell once what is due at ``now`` has been written."""
    told = file.work(now)
    assert file._worker.settle(PATIENCE)
    return told + file.work(now)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "knockd.prom"


@pytest.fixture
def file(path: Path) -> TextFile:
    texts = iter(f"text {number}\n" for number in range(100))
    made = TextFile(lambda: next(texts))
    made.path = str(path)
    return made


def test_it_is_written_at_once_and_then_every_15_seconds(file: TextFile, path: Path) -> None:
    assert file.next_deadline() == 0.0
    assert written(file, 100.0) == []
    assert path.read_text() == "text 0\n"
    assert file.next_deadline() == 100.0 + PERIOD_SECONDS == 115.0
    written(file, 114.9)
    assert path.read_text() == "text 0\n"
    written(file, 115.0)
    assert path.read_text() == "text 1\n"


def test_without_a_path_nothing_is_written(file: TextFile, path: Path) -> None:
    file.path = None
    assert written(file, 100.0) == []
    assert file.next_deadline() is None
    assert not path.exists()


def test_everybody_can_read_it_whatever_the_umask_is(file: TextFile, path: Path) -> None:
    before = os.umask(0o077)
    try:
        written(file, 100.0)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_whoever_has_the_old_one_open_reads_it_to_its_end(file: TextFile, path: Path) -> None:
    written(file, 100.0)
    with path.open() as reader:
        written(file, 200.0)
        assert reader.read() == "text 0\n"
    assert path.read_text() == "text 1\n"
    assert list(path.parent.iterdir()) == [path]


def test_a_link_that_lies_where_the_new_one_is_written_is_not_followed(
    file: TextFile, path: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    Path(f"{path}.new").symlink_to(precious)
    written(file, 100.0)
    assert precious.read_text() == "precious"
    assert path.read_text() == "text 0\n"


def test_its_trouble_is_told_once_and_that_it_is_over(file: TextFile, tmp_path: Path) -> None:
    file.path = str(tmp_path / "later" / "knockd.prom")
    (trouble,) = written(file, 100.0)
    assert trouble.side is Side.METRICS
    assert trouble.text == f"the metrics {file.path} cannot be written: No such file or directory"
    assert written(file, 200.0) == []
    (tmp_path / "later").mkdir()
    (over,) = written(file, 300.0)
    assert over.over
    assert over.text.endswith("can be written again")


def test_a_disk_that_does_not_answer_is_told_and_waited_for_by_nobody(
    file: TextFile, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "gate")

    def hang() -> None:
        (tmp_path / "gate").read_text()  # until somebody writes

    assert file._worker.submit(hang)
    (trouble,) = file.work(100.0)
    assert "its disk does not answer" in trouble.text
    assert file.work(200.0) == []
    (tmp_path / "gate").write_text("")
    assert file._worker.settle(PATIENCE)
    (over,) = written(file, 300.0)
    assert over.over
