"""The first knockd.conf of a host, as the package writes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pyknockd.config import load
from tests.support.lab import ROOT

TEMPLATE = ROOT / "debian" / "knockd.conf.first"


def written(path: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(ROOT / "debian/first-doors"), str(TEMPLATE), str(path)]
    environment = {"PYTHONPATH": str(ROOT)}
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment)


def test_it_is_a_file_without_a_mistake_whose_ports_are_printed(tmp_path: Path) -> None:
    path = tmp_path / "knockd.conf"
    done = written(path)
    assert done.returncode == 0, done.stderr
    loaded = load(str(path), "/dev/null", interface_given=False)
    assert loaded.warnings == ()
    (door,) = loaded.config.doors
    ports = [str(step.port) for step in door.steps]
    assert done.stdout.split() == ports
    assert f"knock HOST {' '.join(ports)}\n" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o640
    assert "@" not in path.read_text()


def test_no_two_hosts_have_the_same(tmp_path: Path) -> None:
    assert written(tmp_path / "one").stdout != written(tmp_path / "other").stdout


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "knockd.conf"
    path.write_text("mine\n")
    assert written(path).returncode != 0
    assert path.read_text() == "mine\n"
