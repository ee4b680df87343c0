"""knockd, run by a user without rights."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.lab import ROOT

NOBODY = 65534


def as_nobody(
    *options: str, config: str = "", stdin: Path = Path(os.devnull)
) -> subprocess.CompletedProcess[str]:
    """``knockd -c CONFIG OPTIONS < STDIN``; ``config`` is the text of that file, which all can read.

    From a copy, and by the distribution's Python: the checkout, and .venv in it, may lie where only
    their owner may look, such as in /root.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root, to give it up")
    python = Path(sys.executable).resolve()
    if python.is_relative_to("/root"):
        pytest.skip("needs a Python that everybody may run")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "knockd.conf")
        path.write_text(config)
        shutil.copytree(ROOT / "pyknockd", Path(folder, "pyknockd"))
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        with stdin.open("rb") as file:
            return subprocess.run(
                [python, "-m", "pyknockd", "-c", path, *options],
                cwd=folder, stdin=file, capture_output=True, text=True, check=False,
                user=NOBODY, group=NOBODY, extra_groups=[],
            )  # fmt: skip
