"""As in a container: process 1, with few capabilities, and no service manager."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.doors import GOOD, KINDS, door, ssh
from tests.support.lab import INTERFACE, PATIENCE, ROOT, Lab, Running, until
from tests.support.nobody import NOBODY

KNOCKD = [sys.executable, "-m", "pyknockd", "-v", "-i", INTERFACE, "-c"]
CONTAINER = ["unshare", "--pid", "--fork", "--kill-child"]


def children(pid: int) -> list[int]:
    """None if it has ended meanwhile."""
    try:
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except (FileNotFoundError, ProcessLookupError):
        return []


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def below(pid: int) -> list[int]:
    found = children(pid)
    return [*found, *(other for child in found for other in below(child))]


def first_of(container: Running) -> int:
    (first,) = children(container.process.pid)
    return first


def test_as_process_1_it_reaps_whom_nobody_waits_for_and_its_own_keep_their_status(
    hosts: Lab,
) -> None:
    config = hosts.config(door("sleep 0.3 & sleep 0.3 & (exit 3)"))
    container = hosts.spawn([*CONTAINER, *KNOCKD, str(config)])
    container.wait_for("starting up, listening on")
    for number in range(3):
        hosts.knock(7000)
        container.wait_for("d: command returned non-zero status code (3)", number + 1)
    first = first_of(container)
    until(lambda: len(below(first)) == 1, "only the daemon is left")
    assert [state(pid) for pid in below(first)] != ["Z"]


def test_as_process_1_it_hands_signals_on_and_ends_with_the_daemons_status(hosts: Lab) -> None:
    config = hosts.config(GOOD)
    container = hosts.spawn([*CONTAINER, *KNOCKD, str(config)])
    container.wait_for("starting up, listening on")
    first = first_of(container)
    os.kill(first, signal.SIGHUP)
    container.wait_for("re-reading config file")
    os.kill(first, signal.SIGTERM)
    assert container.process.wait(PATIENCE) == 0
    assert container.lines()[-1] == "shutting down"
    config.write_text("[ssh\n")
    assert hosts.spawn([*CONTAINER, *KNOCKD, str(config)]).process.wait(PATIENCE) == 78


def test_a_daemon_that_is_killed_ends_its_container(hosts: Lab) -> None:
    container = hosts.spawn([*CONTAINER, *KNOCKD, str(hosts.config(GOOD))])
    container.wait_for("starting up, listening on")
    (daemon,) = children(first_of(container))
    os.kill(daemon, signal.SIGKILL)
    assert container.process.wait(PATIENCE) == 137


@pytest.fixture
def nobodys() -> Iterator[Path]:
    """A folder of nobody's, with the program in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "pyknockd", folder / "pyknockd")
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", folder], check=True)
        yield folder


@pytest.mark.parametrize("kind", KINDS)
def test_another_user_with_two_capabilities_opens_and_closes(
    hosts: Lab, nobodys: Path, kind: str
) -> None:
    config = nobodys / "knockd.conf"
    config.write_text(ssh(kind, timed=1))
    os.chown(config, NOBODY, NOBODY)
    folders = (f"STATE_DIRECTORY={nobodys}/state", f"RUNTIME_DIRECTORY={nobodys}/run")
    where = (f"--chdir={nobodys}", *folders)
    lock = f"XTABLES_LOCKFILE={nobodys}/lock"
    capabilities = "+net_raw,+net_admin"
    user = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    gives = (f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}")
    python = Path(sys.executable).resolve()
    program = (python, *KNOCKD[1:], config)
    daemon = hosts.spawn(["env", *where, lock, "setpriv", *user, *gives, *map(str, program)])
    daemon.wait_for("starting up, listening on")
    hosts.knock(7000, 8000, 9000)
    until(lambda: any("--dport 22" in rule for rule in hosts.rules(kind)), "it opens")
    until(lambda: not hosts.rules(kind), "it closes")
    assert "non-zero" not in daemon.text()
    assert (nobodys / "state").exists()
