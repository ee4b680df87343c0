"""The command line, held against knockd's."""

from __future__ import annotations

import re
import subprocess

import pytest

from pyknockd.cli import main
from tests.support.doors import GOOD
from tests.support.oracle import read_config
from tests.support.realknockd import debian_knockd


def test_help_names_every_option_of_knockd(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["-h"])
    assert ended.value.code == 0
    ours = capsys.readouterr().out
    theirs = subprocess.run(
        [debian_knockd() / "usr/sbin/knockd", "-h"], capture_output=True, text=True, check=False
    )
    options = re.findall(r"^  (-\w), (--[\w-]+)", theirs.stdout, re.MULTILINE)
    assert len(options) == 11
    assert all(f"{short}" in ours and long in ours for short, long in options)


def test_check_prints_what_knockd_prints_and_starts_nothing(
    good: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check", "-D", "-c", good]) == 0
    theirs = [line for line in read_config(GOOD).stdout if line.startswith("config: ")]
    assert capsys.readouterr().out.splitlines() == theirs
