"""The file of used packets: each is good once, whatever happens in between."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from pyknockd.proof.replays import Replays, ReplaysError, Use
from tests.support.lab import ROOT
from tests.support.replays import digest, fill

NOW, WINDOW = 1_800_000_000, 120
LATER = NOW + 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "used.db"


def opened(path: Path, now: float = NOW) -> Replays:
    replays = Replays(path, WINDOW)
    assert replays.open(now).remark == ""
    return replays


def entries(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute("SELECT count(*) FROM used").fetchone()[0])


def test_a_packet_is_new_once(path: Path) -> None:
    replays = opened(path)
    assert replays.use(digest(1), LATER, LATER) is Use.NEW
    assert replays.use(digest(2), LATER, LATER) is Use.NEW
    assert replays.use(digest(1), LATER, LATER) is Use.REPLAYED
    assert replays.use(digest(1), LATER + 1, LATER) is Use.REPLAYED


def test_what_was_used_stays_used_after_a_restart(path: Path) -> None:
    first = opened(path)
    first.use(digest(1), LATER, LATER)
    first.close()
    second = opened(path, LATER + 5)
    assert second.use(digest(1), LATER, LATER + 6) is Use.REPLAYED
    assert second.use(digest(2), LATER, LATER + 6) is Use.NEW


def test_where_there_was_no_file_nothing_is_good_that_was_stamped_before(path: Path) -> None:
    replays = opened(path, NOW + 0.5)
    assert replays.use(digest(1), NOW, NOW + 1) is Use.FORGOTTEN
    assert replays.use(digest(1), NOW - 100, NOW + 1) is Use.FORGOTTEN
    assert replays.use(digest(1), NOW + 1, NOW + 1) is Use.NEW
    replays.close()
    assert opened(path, NOW + 9).use(digest(2), NOW, NOW + 10) is Use.FORGOTTEN


def test_what_cannot_be_in_time_any_more_is_left_out(path: Path) -> None:
    replays = opened(path)
    for number in range(10, 500, 10):
        assert replays.use(digest(number), NOW + number, NOW + number) is Use.NEW
    replays.close()
    assert entries(path) == WINDOW / 10 + 1


def test_an_entry_stays_as_long_as_its_packet_is_in_time(path: Path) -> None:
    """A client's clock may be ahead: its packet is good for twice the window after it was used."""
    replays = opened(path)
    ahead = NOW + 1 + WINDOW
    replays.use(digest(1), ahead, NOW + 1)
    for now in range(NOW + 2, ahead + WINDOW + 1, 40):
        replays.use(digest(now), now, now)
        assert replays.use(digest(1), ahead, now) is Use.REPLAYED


def test_a_clock_that_is_set_back_brings_nothing_back(path: Path) -> None:
    replays = opened(path)
    replays.use(digest(1), LATER, LATER)
    replays.use(digest(2), LATER + 9_000, LATER + 9_000)
    assert replays.use(digest(1), LATER, LATER + 5) is not Use.NEW
    assert replays.use(digest(3), LATER + 5, LATER + 5) is Use.NEW
    replays.close()
    assert opened(path, LATER).use(digest(1), LATER, LATER + 6) is not Use.NEW


def test_a_damaged_file_is_put_aside_and_what_was_stamped_before_is_refused(path: Path) -> None:
    first = opened(path)
    first.use(digest(1), LATER, LATER)
    first.close()
    path.write_bytes(b"no database at all" * 300)
    second = Replays(path, WINDOW)
    remark = second.open(LATER + 5).remark
    assert "damaged" in remark and ".damaged-" in remark
    assert second.use(digest(1), LATER, LATER + 6) is Use.FORGOTTEN
    assert second.use(digest(2), LATER + 6, LATER + 6) is Use.NEW
    assert len(list(path.parent.glob("*.damaged-*"))) == 1


def test_a_cut_file_is_no_loss_that_goes_unnoticed(path: Path) -> None:
    opened(path).close()
    fill(path, range(2_000), LATER)
    whole = path.read_bytes()
    for size in (0, 1, 100, 4_096, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        again = Replays(path, WINDOW)
        try:
            again.open(LATER + 5)
            answers = {again.use(digest(n), LATER, LATER + 6) for n in (0, 999, 1_999)}
        except ReplaysError:
            continue
        finally:
            again.close()
        assert Use.NEW not in answers, size


def test_a_file_that_cannot_be_made_or_read_says_why(tmp_path: Path, path: Path) -> None:
    (tmp_path / "state").write_text("no folder")
    with pytest.raises(ReplaysError, match=r"used\.db"):
        Replays(path, WINDOW).open(NOW)
    with pytest.raises(ReplaysError, match="not open"):
        Replays(path, WINDOW).use(digest(1), NOW, NOW)


def test_a_symbolic_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ReplaysError):
        Replays(path, WINDOW).open(NOW)
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_others_can_change_is_not_used(path: Path) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o777)
    with pytest.raises(ReplaysError, match="others can change"):
        Replays(path, WINDOW).open(NOW)


def test_only_root_may_read_it(path: Path) -> None:
    opened(path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_daemon_does_not_get_it(path: Path) -> None:
    first, second = opened(path), Replays(path, WINDOW)
    with pytest.raises(ReplaysError, match="locked"):
        second.open(NOW)
    with pytest.raises(ReplaysError):
        second.use(digest(1), LATER, LATER)
    first.close()
    second.open(LATER)


def test_a_write_that_fails_is_no_yes_and_the_next_may_be(path: Path) -> None:
    """A disk that is full, as far as SQLite can be told so."""
    replays = opened(path)
    database = replays._database
    assert database is not None
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")
    said = 0
    with suppress(ReplaysError):
        while replays.use(digest(said), LATER, LATER) is Use.NEW:
            said += 1
    assert said > 10
    with pytest.raises(ReplaysError, match="full"):
        replays.use(digest(said), LATER, LATER)
    assert replays.use(digest(0), LATER, LATER) is Use.REPLAYED
    database.execute("PRAGMA max_page_count = 1000000")
    assert replays.use(digest(said), LATER, LATER) is Use.NEW


def test_what_is_said_is_on_the_disk(path: Path) -> None:
    replays = opened(path)
    assert replays._database is not None
    # FULL: each commit waits for the disk (sqlite.org/pragma.html#pragma_synchronous).
    assert replays._database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert replays._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_it_may_be_opened_by_one_thread_and_used_by_another(path: Path) -> None:
    replays, answers = opened(path), []
    thread = threading.Thread(target=lambda: answers.append(replays.use(digest(1), LATER, LATER)))
    thread.start()
    thread.join()
    assert answers == [Use.NEW]


USER = f"""
import sys
from pathlib import Path
from pyknockd.proof.replays import Replays, Use
replays = Replays(Path(sys.argv[1]), {WINDOW})
assert replays.open({NOW}).remark == ""
number = int(sys.argv[2])
while True:
    number += 1
    if replays.use(number.to_bytes(32, "big"), {LATER}, {LATER}) is Use.NEW:
        print(number, flush=True)
"""


def test_killed_at_any_instant_it_has_kept_all_that_was_said_to_be_new(path: Path) -> None:
    chance, last, said = random.Random(11), 0, set()
    for _ in range(12):
        words = [sys.executable, "-c", USER, str(path), str(last)]
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(chance.randrange(1, 60)):
                said.add(int(process.stdout.readline()))
            os.kill(process.pid, signal.SIGKILL)
            said |= {int(line) for line in process.stdout.read().splitlines(True) if "\n" in line}
        last = max(said) + 1  # one more may have been written and not said
        replays = opened(path)
        answers = {replays.use(digest(number), LATER, LATER) for number in said}
        assert answers == {Use.REPLAYED}
        replays.close()
    assert len(said) > 12
