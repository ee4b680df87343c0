"""The other end of syslog."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.lab import PATIENCE


@contextmanager
def syslogd(path: Path) -> Iterator[socket.socket]:
    """A syslog daemon's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        server.settimeout(PATIENCE)
        yield server
    path.unlink()
