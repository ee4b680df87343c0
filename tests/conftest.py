"""What the tests share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.doors import GOOD
from tests.support.lab import Lab, lab
from tests.support.wire import Wire, wired


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Lab]:
    """A server and a client of their own; skips, and says why, where they cannot be had."""
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces")
    for program in ("ip", "iptables"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    with lab(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    """A cable with a knock client at one end; skips where it cannot be had."""
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces")
    with wired() as made:
        yield made


@pytest.fixture
def good(tmp_path: Path) -> str:
    """The path of a knockd.conf without a mistake."""
    path = tmp_path / "good.conf"
    path.write_text(GOOD)
    path.chmod(0o640)
    return str(path)
