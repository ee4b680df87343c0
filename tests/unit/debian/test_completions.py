"""What bash completes is what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyknockd.control.handlers import WATCH
from pyknockd.control.views import SHOW
from tests.support.lab import ROOT

OPTION = re.compile(r"(?<![\w-])--?\w[\w-]*")


def said_by(module: str, *words: str) -> str:
    """A program's help."""
    done = subprocess.run(
        [sys.executable, "-m", f"pyknockd{module}", *words, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def offered_by(program: str) -> list[str]:
    """The lists of words that bash completes."""
    completion = Path(ROOT, "debian/completions", program).read_text()
    return re.findall(r"compgen -W '([^']*)'", completion)


@pytest.mark.parametrize(("program", "module"), [("knockd", ""), ("knock", ".client")])
def test_every_option_is_completed(program: str, module: str) -> None:
    options = set(OPTION.findall(said_by(module)))
    assert {"--help", "-V"} < options
    offered = [words for words in offered_by(program) if words.startswith("-")]
    assert options == set(" ".join(offered).split())


def test_every_command_of_knockctl_is_completed_and_the_options_of_each() -> None:
    helps = [
        said_by(".control.knockctl"),
        *(said_by(".control.knockctl", command) for command in (*SHOW, WATCH)),
    ]
    options = set(OPTION.findall("".join(helps)))
    assert {"--json", "--since"} < options
    assert options | {*SHOW, WATCH} == set(" ".join(offered_by("knockctl")).split())
