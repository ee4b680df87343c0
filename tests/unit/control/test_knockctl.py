"""knockctl's command line, and what it makes of answers; test_control.py asks a real daemon."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from datetime import datetime

import pytest

from pyknockd.control import knockctl
from tests.support.lab import ROOT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("90", 90), ("90s", 90), ("15min", 900), ("15m", 900), ("2h", 7200), ("2 H", 7200)),
        *((" 7d ", 604_800), ("1w", 604_800), ("0s", 0)),
    ],
)
def test_a_span_of_time_has_a_number_and_a_unit(text: str, expected: float) -> None:
    assert knockctl.seconds(text) == expected


@pytest.mark.parametrize("text", ["", "h", "-5", "1.5h", "2 weeks", "1h30m", "9" * 10, "\u0667"])
def test_what_is_no_span_of_time_is_told(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="such as 90s, 15min, 2h or 7d"):
        knockctl.seconds(text)


def test_a_moment_is_a_date_or_so_long_ago() -> None:
    assert knockctl.moment("2026-11-25") == datetime(2026, 11, 25).timestamp()
    assert knockctl.moment("2026-11-25 14:30") == datetime(2026, 11, 25, 14, 30).timestamp()
    assert knockctl.moment("2h") == pytest.approx(time.time() - 7200, abs=5)
    with pytest.raises(argparse.ArgumentTypeError):
        knockctl.moment("yesterday")


@pytest.mark.parametrize(
    "words",
    [
        *([], ["explode"], ["--nonsense"], ["open"], ["open", "ssh"], ["close"], ["doors", "more"]),
        *(["extend", "192.0.2.7", "ssh"], ["extend", "192.0.2.7", "ssh", "soon"]),
        ["history", "--since", "yesterday"],
    ],
)
def test_what_is_used_wrongly_ends_with_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        knockctl.main(words)
    assert ended.value.code == knockctl.USAGE == 2
    assert "usage: knockctl" in capsys.readouterr().err


def test_where_nobody_listens_it_ends_with_3_and_says_where_it_has_looked(
    tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    path = f"{tmp_path}/control"
    assert knockctl.main(["--socket", path, "doors"]) == knockctl.NOT_REACHED == 3
    said = capsys.readouterr().err
    assert f"no knockd answers at {path}: No such file" in said
    assert "systemctl status knockd" in said


def test_who_did_it_is_whoever_became_root_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOAS_USER", "bob")
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert knockctl._who() == "bob"
    monkeypatch.setenv("SUDO_USER", "alice")
    assert knockctl._who() == "alice"
    monkeypatch.delenv("SUDO_USER")
    monkeypatch.delenv("DOAS_USER")
    assert knockctl._who()


def test_json_may_stand_before_the_command_or_behind_it() -> None:
    for words in (["--json", "doors"], ["doors", "--json"]):
        assert knockctl._parser().parse_args(words).json
    assert not knockctl._parser().parse_args(["doors"]).json


def test_no_libraries_but_its_own_are_loaded() -> None:
    """It is to answer at once, and works where the daemon's are broken."""
    code = (
        "import sys, pyknockd.control.knockctl;"
        "print([n for n in ('scapy', 'iptc', 'nftables', 'yaml') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ},
    )  # fmt: skip
    assert done.stdout == "[]\n"
