"""knockd, run by a user without rights."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.lab import ROOT

NOBODY = 65534


@contextmanager
def copy_for_nobody() -> Iterator[tuple[str, Path]]:
    """A Python that everybody may run, and a folder with a copy of the program.

    From a copy, and by the distribution's Python: the checkout, and .venv in it, may lie where only
    their owner may look, such as in /root.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root, to give it up")
    python = Path(sys.executable).resolve()
    if python.is_relative_to("/root"):
        pytest.skip("needs a Python that everybody may run")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "pyknockd", Path(folder, "pyknockd"))
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        yield str(python), Path(folder)


def as_nobody(
    *options: str, config: str = "", stdin: Path = Path(os.devnull)
) -> subprocess.CompletedProcess[str]:
    """``knockd -c CONFIG OPTIONS < STDIN``; ``config`` is the text of that file, which all can read."""
    with copy_for_nobody() as (python, folder), stdin.open("rb") as file:
        path = folder / "knockd.conf"
        path.write_text(config)
        path.chmod(0o644)
        return subprocess.run(
            [python, "-m", "pyknockd", "-c", path, *options],
            cwd=folder, stdin=file, capture_output=True, text=True, check=False,
            user=NOBODY, group=NOBODY, extra_groups=[],
        )  # fmt: skip
