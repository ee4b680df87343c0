"""What the tests share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab, lab


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
