"""A connection carried on standard input and output, or handed over whole."""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from pyknockd.client.errands import ClientError

MOST_BYTES = 1 << 20  # at once
_INPUT, _OUTPUT = 0, 1

T = TypeVar("T")


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
        _move(connection.fileno(), _OUTPUT, lambda: connection.recv(MOST_BYTES), _write)
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
        _move(
            _INPUT,
            connection.fileno(),
            lambda: os.read(_INPUT, MOST_BYTES),
            connection.sendall,
        )
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other side has gone; what it sent is still read


def _move(
    source: int, target: int, read: Callable[[], bytes], write: Callable[[bytes], object]
) -> None:
    """Everything from ``source`` to ``target``, within the kernel where it can. Raises OSError."""
    if hasattr(os, "splice"):
        try:
            while _patiently(lambda: os.splice(source, target, MOST_BYTES), source, target):
                pass
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EBADF):
                raise  # else: neither is a pipe
    while data := _patiently(read, source, source):
        write(data)


def _patiently(act: Callable[[], T], source: int, target: int) -> T:
    """``act``, until it need not wait: who started us may have left a pipe non-blocking."""
    while True:
        try:
            return act()
        except BlockingIOError:
            select.select([source], [], [])
            if target != source:
                select.select([], [target], [])


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
