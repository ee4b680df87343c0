"""The demonstration, as whoever has just cloned the repository runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.lab import PATIENCE, ROOT, Lab, until

DEMO = [sys.executable, "-m", "pyknockd", "--demo"]


def namespaces(pid: int) -> list[str]:
    """Those of the demo that ran, or runs, as this process."""
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    return [line for line in names.stdout.splitlines() if line.startswith(f"knockd-demo-{pid}-")]


def test_the_demo_shows_a_door_shut_open_and_shut(hosts: Lab) -> None:
    before = hosts.client.run("iptables", "-S")
    with subprocess.Popen(
        DEMO, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        printed, complaints = running.communicate()
    assert (running.returncode, complaints) == (0, "")
    told = [line.split(" s  ", 1)[1] for line in printed.splitlines()]
    texts = ["SHUT", "knock", "Stage 3", "OPEN SESAME", "OPEN", "knock", "OPEN SESAME", "SHUT"]
    remaining = iter(told)
    assert all(any(text in line for line in remaining) for text in texts)
    assert namespaces(running.pid) == []
    assert hosts.client.run("iptables", "-S") == before


@pytest.mark.parametrize("moment", ["two hosts", "starts knockd", "port 22 is SHUT"])
def test_an_interrupted_demo_leaves_nothing_behind(hosts: Lab, moment: str) -> None:
    running = subprocess.Popen(
        ["env", "--default-signal=INT", *DEMO],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert running.stdout is not None
    assert any(moment in line for line in running.stdout)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=PATIENCE)
    assert running.returncode == 130
    assert namespaces(running.pid) == []
    leftover = ["pgrep", "-f", f"knockd-demo-{running.pid}-"]
    until(
        lambda: subprocess.run(leftover, capture_output=True).returncode == 1, "no process is left"
    )


def test_without_root_the_demo_says_so() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give it up")
    if Path(sys.executable).resolve().is_relative_to("/root"):
        pytest.skip("needs a Python that everybody may run")
    done = subprocess.run(
        DEMO, cwd=ROOT, capture_output=True, text=True, check=False,
        user=65534, group=65534, extra_groups=[],
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "knockd: --demo needs root, to make network namespaces: try sudo\n"
