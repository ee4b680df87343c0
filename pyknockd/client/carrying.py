"""A connection carried on standard input and output, or handed over whole."""

from __future__ import annotations

import os
import select
import socket
import stat
import sys
import threading
from collections.abc import Callable

from pyknockd.client.errands import ClientError

MOST_BYTES = 1 << 18  # at once
_INPUT, _OUTPUT = 0, 1


def hand_over(connection: socket.socket) -> None:
    """Send the socket itself through standard output, as ssh's ProxyUseFdpass wants it."""
    if not hasattr(socket, "SCM_RIGHTS") or not stat.S_ISSOCK(os.fstat(_OUTPUT).st_mode):
        raise ClientError("--fdpass hands a socket to ssh: write ProxyUseFdpass yes beside it")
    with socket.socket(fileno=os.dup(_OUTPUT)) as output:
        socket.send_fds(output, [b"\0"], [connection.fileno()])


def carry(connection: socket.socket) -> None:
    """Both ways to the end. What one side ends is ended at the other; the other way goes on."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    _as_bytes()
    upward = threading.Thread(target=_send, args=(connection,), daemon=True)
    upward.start()
    try:
        _move(connection.fileno(), lambda: connection.recv(MOST_BYTES), _write)
    except OSError:
        return  # reset, or nobody reads what comes
    # Whoever reads must see the end, and what he has still to say is sent.
    sys.stdout.flush()
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, _OUTPUT)
    os.close(nothing)
    upward.join()


def _send(connection: socket.socket) -> None:
    try:
        _move(_INPUT, lambda: os.read(_INPUT, MOST_BYTES), connection.sendall)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other side has gone; what it sent is still read


def _move(source: int, read: Callable[[], bytes], write: Callable[[bytes], object]) -> None:
    """Everything from ``source``. Raises OSError.

    Not by splice(2): it holds a pipe's lock while it waits for the socket, and nobody reads the pipe.
    """
    while data := _patiently(read, source):
        write(data)


def _patiently(read: Callable[[], bytes], source: int) -> bytes:
    """``read``, until it need not wait: who started us may have left a pipe non-blocking."""
    while True:
        try:
            return read()
        except BlockingIOError:
            select.select([source], [], [])


def _write(data: bytes) -> None:
    while data:
        try:
            data = data[os.write(_OUTPUT, data) :]
        except BlockingIOError:
            select.select([], [_OUTPUT], [])


def _as_bytes() -> None:
    """Windows would change line ends on their way."""
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (_INPUT, _OUTPUT):
            msvcrt.setmode(descriptor, os.O_BINARY)
