"""Frame → ``Knock``: what comes in on the interfaces, as far as somebody listens for it.

``Capture`` loads scapy, which takes a tenth of a second and 30 MB: not before somebody asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyknockd.capture.errors import CaptureError
from pyknockd.capture.flood import Flood

if TYPE_CHECKING:
    from pyknockd.capture.capture import Capture
else:

    def __getattr__(name: str) -> object:
        if name != "Capture":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from pyknockd.capture.capture import Capture

        return Capture


__all__ = ["Capture", "CaptureError", "Flood"]
