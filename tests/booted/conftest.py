"""Real Debians, booted. They run with PYKNOCKD_BOOTED=1, and say why where they cannot."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import trees
from tests.support.machine import Machine, machine

_TOOLS = ("debootstrap", "systemd-nspawn", "nsenter", "unshare", "ip", "iptables", "nft", "git")


def _obstacle() -> str:
    """Why this host cannot boot trees; empty if it can."""
    if os.environ.get("PYKNOCKD_BOOTED") != "1":
        return "they have to be asked for: sh tests/run booted"
    if os.geteuid() != 0:
        return "needs root: boots containers"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)}: apt install debootstrap systemd-container nftables"
    if (
        not Path("/sys/fs/cgroup/cgroup.procs").exists()
        and not Path("/sys/fs/cgroup/unified/cgroup.procs").exists()
    ):
        return "needs a cgroup2 hierarchy at /sys/fs/cgroup or /sys/fs/cgroup/unified"
    return ""


@pytest.fixture(scope="session")
def bootable() -> None:
    """Skips the test on a host that cannot boot trees, or cannot get them."""
    obstacle = _obstacle()
    if obstacle:
        pytest.skip(obstacle)


@pytest.fixture(params=trees.RELEASES)
def release(request: pytest.FixtureRequest, bootable: None) -> str:
    return str(request.param)


@pytest.fixture
def debian(release: str, tmp_path: Path) -> Iterator[Machine]:
    """A plain Debian of each release, booted, with nothing of ours on it."""
    with machine(release, tmp_path) as made:
        yield made


@pytest.fixture
def newest(bootable: None, tmp_path: Path) -> Iterator[Machine]:
    """A plain Debian of the newest release only: for what does not depend on it."""
    with machine(trees.RELEASES[-1], tmp_path) as made:
        yield made
