"""Tests of what a release has of its own, run inside it: its iptables, libnftables and Python, its
cryptography and its fwknop-client.

Nothing is booted for them: a network of their own and a tree are enough.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.support import trees
from tests.support.lab import Lab

TESTS = [
    "tests/unit/firewall",
    "tests/kernel/test_nft.py",
    "tests/kernel/test_nft_forms.py",
    "tests/kernel/test_firewall.py -k nft",
    "tests/kernel/test_firewall.py -k legacy",
    "tests/kernel/test_spa.py",
    "tests/unit/proof -k 'not pyotp'",
    "tests/unit/config",
]


@pytest.mark.parametrize("tests", TESTS)
def test_it_does_the_same_on_each_release(
    release: str, tests: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configs = os.environ.get("PYKNOCKD_CONFIGS")
    words = ["python3", "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "-rs"]
    with trees.overlay(trees.testing_layer(release), tmp_path) as tree:
        trees.copy_sources(tree / "src")
        if configs:
            shutil.copytree(configs, tree / "configs")
            words.insert(0, "PYKNOCKD_CONFIGS=/configs")
        said = trees.inside(tree, "/src", *words, *shlex.split(tests))
    summary = said.splitlines()[-1]
    with capsys.disabled():
        print(f"\n{release}, {tests}: {summary}")
    assert re.search(r"\b[1-9]\d* passed", summary), said
    skipped = [line for line in said.splitlines() if line.startswith("SKIPPED")]
    assert all("PYKNOCKD_" in line for line in skipped), said


def test_rules_of_another_release_are_known_after_an_upgrade(
    release: str, hosts: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They stay in the kernel as the former iptables wrote them."""
    for other in trees.RELEASES:
        if other == release:
            continue
        for part, which in (("write", other), ("use", release)):
            with trees.overlay(trees.testing_layer(which), tmp_path / f"{other}-{part}") as tree:
                trees.copy_sources(tree / "src")
                words = ("python3", "-m", "tests.support.upgrade", part)
                said = trees.inside(tree, "/src", *words, network=hosts.server)
        with capsys.disabled():
            print(f"\nrules of {other} on {release}:\n{said}", end="")
