"""knockctl's side of the wire."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from pyknockd.control.protocol import Request, request_line, result_of

_HUNG_UP = "the daemon has hung up: it answers root only, and not all at once"
PATIENCE = 10.0  # seconds until a daemon that does not answer is given up


class NotReached(Exception):
    """No daemon answers at the socket; why."""


def ask(path: Path, request: Request) -> object:
    """The daemon's answer. Raises NotReached, and Refusal."""
    return result_of(next(lines(path, request, PATIENCE)))


def lines(path: Path, request: Request, patience: float | None) -> Iterator[bytes]:
    """Each line that the daemon sends upon ``request``. Raises NotReached.

    ``patience`` is how long one is waited for, in seconds; None is for ever.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            # Not settimeout(), with which who finds many waiting before him is not let wait.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(PATIENCE))
            connection.connect(str(path))
            connection.sendall(request_line(request))
            connection.settimeout(patience)
            with connection.makefile("rb") as file:
                found = False
                for line in file:
                    found = True
                    yield line
                if not found:
                    raise NotReached(_HUNG_UP)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise NotReached(_HUNG_UP) from error
        except OSError as error:
            raise NotReached(error.strerror or str(error)) from error


def _timeval(seconds: float) -> bytes:
    """struct timeval."""
    whole = int(seconds)
    return struct.pack("@ll", whole, int((seconds - whole) * 1_000_000))
