"""Which journal belongs to which configuration, and who guards it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pyknockd.doors import Journal
from pyknockd.doors.opening import Opening, Plan
from pyknockd.doors.opening import State as OpeningState
from pyknockd.model import Change, ChangeKind
from pyknockd.state import GuardedError, State, claim
from pyknockd.system import places
from pyknockd.system.places import state_folder as folder

AUTO = ("auto",)


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder; the default configuration is one of the test's."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr(places, "CONFIG_PATH", str(tmp_path / "knockd.conf"))
    return tmp_path / "state"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "knockd.conf"
    path.write_text("")
    return path


def guarded(path: Path, *interfaces: str) -> State:
    return claim(str(path), interfaces or AUTO)


def left_behind(path: Path, *interfaces: str) -> Path:
    """The journal of a knockd that has guarded ``path`` and ended."""
    held = guarded(path, *interfaces)
    held.journal.write_bytes(b"")
    held.close()
    return held.journal


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("/var/lib/a:/var/lib/b", "/var/lib/a"),
        ("/var/lib/a", "/var/lib/a"),
        (":/var/lib/b", "/var/lib/b"),
        ("", "/var/lib/knockd"),
        (":", "/var/lib/knockd"),
    ],
)
def test_of_several_state_folders_the_first_counts(
    named: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", named)
    assert folder() == Path(expected)


def test_a_configuration_has_one_journal_by_whatever_name(kept: Path, conf: Path) -> None:
    link = conf.with_name("link.conf")
    link.symlink_to(conf)
    roundabout = conf.parent / "x" / ".." / conf.name
    (conf.parent / "x").mkdir()
    for path in (conf, link, roundabout):
        held = guarded(path)
        assert held.journal == kept / "doors.sqlite"
        held.close()


def test_so_it_has_where_the_default_is_a_link(kept: Path, conf: Path) -> None:
    real = conf.rename(conf.with_name("real.conf"))
    conf.symlink_to(real)
    for path in (conf, real):
        held = guarded(path)
        assert held.journal == kept / "doors.sqlite"
        held.close()


def test_two_configurations_have_two_journals(conf: Path) -> None:
    first, second = guarded(conf), guarded(conf.with_name("other.conf"))
    assert first.journal != second.journal
    assert first.events == second.events == []
    first.close()
    second.close()


@pytest.mark.parametrize(
    ("first", "second"),
    [(AUTO, AUTO), (("a", "b"), ("b", "c")), (("any",), ("a",)), (("a",), ("any",))],
)
def test_the_same_doors_are_not_guarded_twice(
    conf: Path, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    held = guarded(conf, *first)
    with pytest.raises(GuardedError) as error:
        guarded(conf, *second)
    said = f"another knockd (PID {os.getpid()}) guards the doors of {conf}; to watch it: journalctl"
    assert str(error.value) == f"{said} -ft knockd"
    held.close()
    guarded(conf, *second).close()


def test_on_another_interface_they_are_with_a_journal_of_its_own(conf: Path) -> None:
    first, second = guarded(conf), guarded(conf, "eth1")
    assert second.journal != first.journal
    said = f"another knockd (PID {os.getpid()}) guards the doors of {conf} on auto"
    assert [event.text for event in second.events] == [said]
    with pytest.raises(GuardedError):
        guarded(conf, "eth1")
    first.close()
    second.close()


def test_what_is_left_of_a_configuration_that_was_moved_is_taken_over(
    kept: Path, conf: Path
) -> None:
    old = left_behind(conf)
    moved = conf.rename(conf.with_name("moved.conf"))
    held = guarded(moved)
    assert held.journal.exists()
    assert not old.exists()
    said = f"what the knockd of {conf} left open is taken over"
    assert [event.text for event in held.events] == [said]
    held.close()
    moved.rename(conf)
    back = guarded(conf)
    assert back.journal == old
    assert old.exists()
    back.close()


def test_what_is_left_of_one_that_became_a_link_is_taken_over(conf: Path) -> None:
    other = conf.with_name("other.conf")
    other.write_text("")
    old = left_behind(other)
    real = other.rename(other.with_name("real.conf"))
    other.symlink_to(real)
    held = guarded(other)
    assert held.journal.exists()
    assert not old.exists()
    held.close()


def test_what_cannot_be_taken_over_is_told_with_what_closes_it(conf: Path) -> None:
    other = conf.with_name("other.conf")
    other.write_text("")
    left_behind(other)
    held = guarded(conf)
    journal = Journal(held.journal)
    change = Change(journal.number(), ChangeKind.OPEN, "ssh", "192.0.2.1", "open it")
    closing = replace(change, kind=ChangeKind.CLOSE, command="close it")
    journal.save(Opening(Plan(change, closing, 30.0), OpeningState.OPENING))
    journal.close()
    held.close()
    conf.unlink()
    held = guarded(other)
    said = (
        f"ssh: left open for 192.0.2.1 by the knockd of {conf}, and not closed by this one; to close"
        " it: close it"
    )
    assert [event.text for event in held.events] == [said]
    held.close()


def test_what_is_left_of_one_that_is_there_stays_its_own(conf: Path) -> None:
    old = left_behind(conf)
    other = conf.with_name("other.conf")
    other.write_text("")
    held = guarded(other)
    assert old.exists()
    assert not held.journal.exists()
    held.close()


def test_so_does_what_another_knockd_holds(conf: Path) -> None:
    running = guarded(conf)
    running.journal.write_bytes(b"")
    conf.unlink()
    held = guarded(conf.with_name("other.conf"))
    assert running.journal.exists()
    assert held.events == []
    running.close()
    held.close()


def test_where_others_can_write_nobody_holds_anything(kept: Path, conf: Path) -> None:
    kept.mkdir()
    kept.chmod(0o777)
    held = guarded(conf)
    assert held.claim is None
    assert list(kept.iterdir()) == []
    held.close()


def test_where_nothing_can_be_written_doors_are_guarded_all_the_same(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/proc/nowhere")
    held = guarded(conf)
    assert held.claim is None
    held.close()
