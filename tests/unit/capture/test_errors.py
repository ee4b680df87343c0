"""What catches the errors of listening need not load what listens."""

from __future__ import annotations

import subprocess
import sys

from pyknockd import capture
from pyknockd.capture.errors import CaptureError
from tests.support.lab import ROOT


def loads_scapy(statement: str) -> bool:
    program = f"{statement}; import sys; sys.exit('scapy' in sys.modules)"
    return bool(subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode)


def test_scapy_is_not_loaded_before_somebody_listens() -> None:
    assert not loads_scapy("from pyknockd.capture import CaptureError, Flood")
    assert loads_scapy("from pyknockd.capture import Capture")


def test_the_room_has_one_face() -> None:
    assert capture.CaptureError is CaptureError
    assert capture.Capture.__name__ == "Capture"
    assert not hasattr(capture, "Sniffer")
