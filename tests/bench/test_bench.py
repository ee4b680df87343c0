"""The benchmark runs, and says what it should. No figure decides: a busy machine is no fault."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.bench.measures import MEASURES
from tests.bench.report import Bound, Row, Wanted, table
from tests.support.lab import ROOT
from tests.support.realknockd import debian_knockd

KEYS = {"measure", "what", "unit", "knockd", "pyknockd", "ratio", "wanted", "met", "note"}


def _bench(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_json_holds_a_row_for_each_figure() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces")
    for program in ("ip", "iptables-nft"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    debian_knockd()

    done = _bench("--json", "--quick", "memory", "start")

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no progress where there is no terminal
    said = json.loads(done.stdout)
    assert said["quick"] is True
    assert {"kernel", "python", "CPUs"} <= set(said["system"])
    assert [row["measure"] for row in said["rows"]] == ["memory", "memory", "start"]
    for row in said["rows"]:
        assert set(row) == KEYS
        assert row["knockd"] > 0
        assert row["pyknockd"] > 0
        assert row["ratio"] == pytest.approx(row["pyknockd"] / row["knockd"])
        assert row["met"] in (None, True, False)
        assert (row["wanted"] is None) == (row["met"] is None)


def test_an_unknown_measure_is_refused() -> None:
    done = _bench("speed")

    assert done.returncode == 2
    assert "no such measure: speed" in done.stderr


def test_help_names_every_measure() -> None:
    said = _bench("--help").stdout

    assert all(f"{measure.name} " in said for measure in MEASURES)


@pytest.mark.parametrize(
    ("wanted", "knockd", "pyknockd", "met"),
    [
        (Wanted(Bound.AT_MOST, 48), None, 48.0, True),
        (Wanted(Bound.AT_MOST, 48), 1.0, 48.1, False),
        (Wanted(Bound.AT_LEAST, 20), 10.0, 20.0, True),
        (Wanted(Bound.AT_LEAST, 20), 10.0, 19.0, False),
        (Wanted(Bound.SHARE_OF_KNOCKD, 1 / 8), 32.0, 4.0, True),
        (Wanted(Bound.SHARE_OF_KNOCKD, 1 / 8), 32.0, 4.1, False),
        (Wanted(Bound.SHARE_OF_KNOCKD, 1 / 8), None, 4.0, False),
        (Wanted(Bound.AT_MOST, 48), 1.0, None, False),
    ],
)
def test_a_figure_is_held_against_what_is_wanted(
    wanted: Wanted, knockd: float | None, pyknockd: float | None, met: bool
) -> None:
    assert Row("name", "what", "", knockd, pyknockd, wanted).met is met


def test_the_table_says_which_figure_is_missed() -> None:
    rows = [
        Row("open", "median", "ms", 40.0, 4.0, Wanted(Bound.SHARE_OF_KNOCKD, 1 / 8), "a note"),
        Row("memory", "resident", "MB", 5.0, 50.0, Wanted(Bound.AT_MOST, 48)),
        Row("other", "nothing came", "ms", None, 5.0),
    ]

    assert table(rows).splitlines() == [
        "measure  what is measured  knockd 0.8  pyknockd  ratio  wanted",
        "-------  ----------------  ----------  --------  -----  -------  ------",
        "open     median                 40 ms      4 ms   1/10  ≤ 1/8    met",
        "memory   resident                5 MB     50 MB   10 ×  ≤ 48 MB  MISSED",
        "other    nothing came            none      5 ms",
        "",
        "open: a note",
    ]
