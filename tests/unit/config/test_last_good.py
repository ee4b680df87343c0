"""Copies of the files as they were when they had no mistake."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyknockd.config.files import ConfigError, load
from pyknockd.config.last_good import Found, LastGood
from tests.support.doors import GOOD

ASKED_FOR = "last_good: true\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "knockd.conf").write_text(GOOD)
    (tmp_path / "pyknockd.yaml").write_text(ASKED_FOR)
    return tmp_path


def copies(folder: Path) -> LastGood:
    (folder / "state").mkdir(exist_ok=True)
    return LastGood(folder / "state" / "doors")


def kept(folder: Path) -> LastGood:
    last_good = copies(folder)
    paths = (str(folder / "knockd.conf"), str(folder / "pyknockd.yaml"))
    last_good.keep(load(*paths, interface_given=False))
    return last_good


def instead(folder: Path, conf: str | None = None, settings: str | None = None) -> Found | None:
    """What there is in the place of files that are changed so."""
    for name, text in (("knockd.conf", conf), ("pyknockd.yaml", settings)):
        if text is not None:
            (folder / name).write_text(text)
    paths = (str(folder / "knockd.conf"), str(folder / "pyknockd.yaml"))
    with pytest.raises(ConfigError) as error:
        load(*paths, interface_given=False)
    return copies(folder).instead(error.value, interface_given=False)


def test_in_the_place_of_mistakes_there_is_what_was_kept(folder: Path) -> None:
    last_good = kept(folder)
    os.utime(last_good.conf, (0, 0))
    found = instead(folder, conf="[ssh]\nsequense = 1\n")
    assert found is not None
    assert [door.name for door in found.loaded.config.doors] == ["ssh"]
    assert found.path == str(last_good.conf)
    assert found.taken[:3] in ("197", "196")


@pytest.mark.parametrize("conf", ["", GOOD.replace("sequence", "sequense")])
def test_so_there_is_where_the_settings_have_mistakes_too(folder: Path, conf: str) -> None:
    kept(folder)
    found = instead(folder, conf=conf, settings="last_god: true\n")
    assert found is not None and found.loaded.config.extras.last_good


def test_so_there_is_where_the_file_is_gone(folder: Path) -> None:
    kept(folder)
    (folder / "knockd.conf").unlink()
    assert instead(folder) is not None


@pytest.mark.parametrize("settings", ["", "last_good: false\n", "timers: keep\n"])
def test_where_nobody_asks_for_it_there_is_nothing(folder: Path, settings: str) -> None:
    kept(folder)
    assert instead(folder, conf="[ssh\n", settings=settings) is None
    (folder / "knockd.conf").write_text(GOOD)
    last_good = kept(folder)
    assert not last_good.conf.exists() and not last_good.settings.exists()


def test_before_anything_was_kept_there_is_nothing(folder: Path) -> None:
    assert instead(folder, conf="[ssh\n") is None


def test_nobody_else_can_read_the_copies(folder: Path) -> None:
    last_good = kept(folder)
    for path in (last_good.conf, last_good.settings):
        assert path.stat().st_mode & 0o777 == 0o600


def test_what_others_can_change_is_not_taken(folder: Path) -> None:
    last_good = kept(folder)
    last_good.stem.parent.chmod(0o777)
    assert instead(folder, conf="[ssh\n") is None


def test_a_copy_that_says_the_same_keeps_its_date(folder: Path) -> None:
    os.utime(kept(folder).conf, (0, 0))
    assert kept(folder).conf.stat().st_mtime == 0
    (folder / "knockd.conf").write_text(GOOD + "# more\n")
    assert kept(folder).conf.stat().st_mtime > 0
