"""What bash completes is what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.lab import ROOT

OPTION = re.compile(r"(?<![\w-])--?\w[\w-]*")


@pytest.mark.parametrize(("program", "module"), [("knockd", ""), ("knock", ".client")])
def test_every_option_is_completed(program: str, module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"pyknockd{module}", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    options = set(OPTION.findall(done.stdout + done.stderr))
    assert {"--help", "-V"} < options
    completion = Path(ROOT, "debian/completions", program).read_text()
    offered = re.findall(r"compgen -W '(-[^']*)'", completion)
    assert options == set(" ".join(offered).split())
