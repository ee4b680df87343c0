"""What is said where a library is missing."""

from __future__ import annotations

import sys

import pytest

from pyknockd.system.python import advice

ERROR = ModuleNotFoundError("No module named 'scapy'")
INSTALL = "apt-get install --no-install-recommends python3-scapy"


def test_another_python_than_the_distributions_is_named_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/conda/bin/python3")
    monkeypatch.setattr(sys, "prefix", "/opt/conda")
    assert advice(ERROR, "python3-scapy") == (
        "No module named 'scapy' for /opt/conda/bin/python3: use /usr/bin/python3 instead, after: "
        + INSTALL
    )


def test_the_distributions_own_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(sys, "prefix", "/usr")
    expected = f"No module named 'scapy' for /usr/bin/python3: try: {INSTALL}"
    assert advice(ERROR, "python3-scapy") == expected
