"""Frame → ``Knock``: what comes in on the interfaces, as far as somebody listens for it.

``Capture`` and ``CaptureFile`` load scapy, which takes a tenth of a second and 30 MB: not before
somebody asks for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyknockd.capture.errors import CaptureError
from pyknockd.capture.flood import Flood
from pyknockd.capture.playback import Playback

if TYPE_CHECKING:
    from pyknockd.capture.capture import Capture
    from pyknockd.capture.pcap import CaptureFile
else:

    def __getattr__(name: str) -> object:
        if name == "Capture":
            from pyknockd.capture.capture import Capture

            return Capture
        if name == "CaptureFile":
            from pyknockd.capture.pcap import CaptureFile

            return CaptureFile
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Capture", "CaptureError", "CaptureFile", "Flood", "Playback"]
