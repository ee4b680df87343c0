"""Trying a port until it answers.

A packet filter drops the SYN of a port that is still shut, and the kernel sends it again only after
a second. So one connection after the other is begun while the earlier ones are still under way, and
the first that comes about wins; of the others the server has not seen more than a SYN.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from dataclasses import dataclass

from pyknockd.client.errands import Seen, Way
from pyknockd.client.sending import Address, open_socket

# Seconds after the last knock; from the last of them on one a second.
BEGIN = (0.002, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
_UNDER_WAY = {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0)}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a port did; ``connection``, a blocking socket, if it is OPEN."""

    seen: Seen
    connection: socket.socket | None = None


class _Attempts:
    """Connections under way, closed when they are no longer wanted."""

    def __init__(self, port: int, way: Way) -> None:
        self._port, self._way = port, way
        self._selector = selectors.DefaultSelector()
        self.seen = Seen.SILENT

    def begin(self, address: Address) -> socket.socket | None:
        """Begin one; the connection if it has come about at once."""
        try:
            made = open_socket(address, socket.SOCK_STREAM, self._way)
        except OSError as error:
            self._note(error.errno or errno.EIO)
            return None
        made.setblocking(False)
        code = made.connect_ex(address.at_port(self._port))
        if code == 0:
            return made
        if code in _UNDER_WAY:
            self._selector.register(made, selectors.EVENT_WRITE)
            return None
        made.close()
        self._note(code)
        return None

    def look(self, seconds: float) -> socket.socket | None:
        """Wait so long for one to come about."""
        if not self._selector.get_map():
            time.sleep(seconds)  # Windows cannot wait for nothing
            return None
        for key, _ in self._selector.select(seconds):
            made = key.fileobj
            assert isinstance(made, socket.socket)
            self._selector.unregister(made)
            code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                return made
            made.close()
            self._note(code)
        return None

    def _note(self, code: int) -> None:
        refused = code == errno.ECONNREFUSED or os.strerror(code) == os.strerror(errno.ECONNREFUSED)
        self.seen = Seen.REFUSED if refused else Seen.UNREACHABLE
        if code == errno.ETIMEDOUT:
            self.seen = Seen.SILENT

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()


def try_port(addresses: list[Address], port: int, seconds: float, way: Way) -> Answer:
    """Until one of the addresses answers at ``port``, or the time is up."""
    attempts = _Attempts(port, way)
    began = time.monotonic()
    moments = [moment for moment in BEGIN if moment < seconds]
    moments += [BEGIN[-1] + n for n in range(1, int(seconds) + 1) if BEGIN[-1] + n < seconds]
    try:
        for moment in [*moments, seconds]:
            while (left := began + moment - time.monotonic()) > 0:
                if connection := attempts.look(left):
                    return _answered(connection)
            for address in addresses if moment < seconds else ():
                if connection := attempts.begin(address):
                    return _answered(connection)
        return Answer(attempts.seen)
    finally:
        attempts.close()


def _answered(connection: socket.socket) -> Answer:
    connection.setblocking(True)
    return Answer(Seen.OPEN, connection)
