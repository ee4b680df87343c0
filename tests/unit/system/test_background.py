"""The pid file; and detaching, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyknockd.system.background import AlreadyRunning, PidFile, PidFileError
from tests.support.lab import ROOT


def python(script: str, redirections: str = "") -> subprocess.CompletedProcess[str]:
    words = ["sh", "-c", f'exec "$0" -c "$1" {redirections}', sys.executable, script]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_pid_file_is_there_as_long_as_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "knockd.pid"
    with PidFile(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


def test_a_pid_file_that_is_held_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "knockd.pid"
    with PidFile(str(path)), pytest.raises(AlreadyRunning) as error:
        PidFile(str(path))
    assert str(error.value) == f"already running: process {os.getpid()} holds {path}"


def test_a_pid_file_that_was_left_behind_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "knockd.pid"
    path.write_text("a very long number of somebody who is gone\n")
    with PidFile(str(path)):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_pid_file_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    with pytest.raises(PidFileError, match="could not create pid file /nowhere/x: No such file"):
        PidFile("/nowhere/x")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PidFileError, match="Too many levels of symbolic links"):
        PidFile(str(tmp_path / "link"))
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
