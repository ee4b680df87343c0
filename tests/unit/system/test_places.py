"""Where a daemon keeps what."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyknockd.system.places import CONFIG_PATH, control_path, journal_of, stem_of


def journal_path(config: str) -> Path:
    return journal_of(stem_of(config))


@pytest.fixture(autouse=True)
def no_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "config", [CONFIG_PATH, "/etc/./knockd.conf", "/etc/default/../knockd.conf"]
)
def test_the_usual_configuration_has_the_usual_places_however_it_is_written(config: str) -> None:
    assert journal_path(config) == Path("/var/lib/knockd/doors.sqlite")
    assert control_path(config) == Path("/run/knockd/control")


def test_the_service_manager_says_which_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/s")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/r")
    assert journal_path(CONFIG_PATH) == Path("/s/doors.sqlite")
    assert control_path(CONFIG_PATH) == Path("/r/control")


def test_two_configurations_share_nothing(tmp_path: Path) -> None:
    one, other = str(tmp_path / "one.conf"), str(tmp_path / "other.conf")
    assert control_path(one) != control_path(other)
    assert journal_path(one) != journal_path(other)
    assert control_path(one).name.startswith("control-")


def test_one_configuration_has_one_place_whichever_way_leads_to_it(tmp_path: Path) -> None:
    (tmp_path / "one.conf").write_text("")
    (tmp_path / "link.conf").symlink_to("one.conf")
    assert control_path(str(tmp_path / "link.conf")) == control_path(f"{tmp_path}/./one.conf")


def test_a_name_may_be_any_bytes(tmp_path: Path) -> None:
    assert control_path(f"{tmp_path}/\udcff.conf")
