"""The pid file; and detaching, in processes of their own."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyknockd.system.background import PidFile, PidFileError
from tests.support.lab import ROOT


def python(script: str, redirections: str = "") -> subprocess.CompletedProcess[str]:
    words = ["sh", "-c", f'exec "$0" -c "$1" {redirections}', sys.executable, script]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_pid_file_is_there_as_long_as_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "knockd.pid"
    with PidFile(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


def a_knockd(*then: str) -> list[str]:
    """A process of this one's name that does what ``then`` says."""
    name = Path("/proc/self/comm").read_text().strip()
    script = f"open('/proc/self/comm', 'w').write({name!r}); {'; '.join(then)}"
    return [sys.executable, "-c", script]


def test_the_pid_file_of_another_daemon_stays_its_own(tmp_path: Path) -> None:
    path = tmp_path / "knockd.pid"
    words = a_knockd("print(flush=True)", "import time", "time.sleep(60)")
    with subprocess.Popen(words, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        path.write_text(f"{other.pid}\n")
        with pytest.raises(PidFileError) as error:
            PidFile(str(path))
        other.kill()
    said = f"pid file {path} is that of process {other.pid}: going on without one"
    assert str(error.value) == said
    assert path.read_text() == f"{other.pid}\n"
    with PidFile(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize(
    "text",
    ["", "\n", "1\n", "4194305", f" {os.getpid()} \n"],
    ids=["empty", "blank", "another program's", "nobody's", "its own"],
)
def test_a_pid_file_that_was_left_behind_is_taken_over(tmp_path: Path, text: str) -> None:
    path = tmp_path / "knockd.pid"
    path.write_text(text)
    with PidFile(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


@pytest.mark.parametrize("text", ["root:x:0:0:root:/root:/bin/bash\n", "12 34\n", "9" * 5000, "-1"])
def test_a_file_that_is_no_pid_file_stays_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "passwd"
    path.write_text(text)
    with pytest.raises(PidFileError, match=f"{path} is there and no pid file: it stays"):
        PidFile(str(path))
    assert path.read_text() == text


def test_another_name_of_a_stale_pid_file_stays_as_it_is(tmp_path: Path) -> None:
    path, other = tmp_path / "knockd.pid", tmp_path / "counter"
    other.write_text("4194305\n")
    path.hardlink_to(other)
    with PidFile(str(path)):
        pass
    assert other.read_text() == "4194305\n"


def test_whoever_locks_a_pid_file_decides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "knockd.pid"
    path.write_text("4194305\n")
    with path.open() as stranger:
        fcntl.flock(stranger, fcntl.LOCK_EX)
        with PidFile(str(path)):
            assert path.read_text() == f"{os.getpid()}\n"


def test_at_the_end_only_ones_own_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "knockd.pid"
    with PidFile(str(path)):
        path.write_text("kept\n")
    assert path.read_text() == "kept\n"


def test_a_pid_file_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    with pytest.raises(PidFileError, match="could not create pid file /nowhere/x: No such file"):
        PidFile("/nowhere/x")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo", ""):
        with pytest.raises(PidFileError, match="is no plain file: going on without a pid file"):
            PidFile(str(tmp_path / name))
    assert not (tmp_path / "elsewhere").exists()


def test_one_that_somebody_has_taken_away_is_not_missed(tmp_path: Path) -> None:
    path = tmp_path / "knockd.pid"
    with PidFile(str(path)):
        path.unlink()


DETACHING = """
import os
from pyknockd.system.background import detach
parent = os.getpid()
launch = detach()
print(os.getpid() != parent, os.getsid(0) != os.getsid(parent), os.getcwd(), flush=True)
{}
"""


def test_the_parent_returns_when_the_child_says_that_it_runs() -> None:
    done = python(DETACHING.format("launch.succeeded(); print('to nobody')"))
    assert (done.returncode, done.stdout) == (0, "True True /\n")


def test_the_parent_fails_when_the_child_ends_without_a_word() -> None:
    done = python(DETACHING.format("raise SystemExit(0)"))
    assert (done.returncode, done.stdout) == (1, "True True /\n")


FILLING = """
import os
from pyknockd.system.background import fill_standard_descriptors
fill_standard_descriptors()
first = os.open("/dev/zero", os.O_RDONLY)
print("out")
os.write(2, f"{first > 2} {[os.get_inheritable(n) for n in (0, 1, 2)]}".encode())
"""


@pytest.mark.parametrize("closed", ["", "<&-", ">&-", "<&- >&-"])
def test_what_is_opened_never_becomes_a_standard_descriptor(closed: str) -> None:
    done = python(FILLING, closed)
    assert done.stderr == "True [True, True, True]"
    assert done.stdout == ("" if ">&-" in closed else "out\n")


def test_a_closed_standard_error_takes_what_is_printed() -> None:
    script = "import sys\n" + FILLING.replace("print(", "print('lost', file=sys.stderr); print(")
    assert python(script, "2>&-").stdout == "out\n"
