"""The socket that knockctl speaks to: many clients, each bounded, and none ever waited for."""

from __future__ import annotations

import os
import select
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from errno import EEXIST
from pathlib import Path

from pyknockd.control.protocol import MOST_REQUEST_BYTES

MOST_CLIENTS = 32
MOST_ANSWER_BYTES = 4 << 20  # that a client has not read yet; who reads no faster is let go
REQUESTS_A_TURN = 16
IDLE_SECONDS = (
    10.0  # a client that has asked nothing for so long is let go; one that watches is not
)
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


class ServerError(Exception):
    """There is no socket to be had; why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A line that a client has sent, without its end. ``uid`` is who it is."""

    client: int
    uid: int
    line: bytes


@dataclass(slots=True, eq=False)
class _Client:
    connection: socket.socket
    uid: int
    heard: float
    received: bytearray = field(default_factory=bytearray)
    to_send: bytearray = field(default_factory=bytearray)
    stays: bool = False


class Server:
    """Listens at ``path``, for root and whoever this process runs as. Closed, it leaves no file."""

    def __init__(self, path: Path) -> None:
        """Raises ServerError."""
        self._path = path
        self._poll = select.epoll()
        self._clients: dict[int, _Client] = {}
        try:
            self._socket = _listening(path)
            self._made = os.stat(path)
        except OSError as error:
            raise ServerError(f"no socket for knockctl: {path}: {error.strerror}") from error
        self._poll.register(self._socket, select.EPOLLIN)

    def fileno(self) -> int:
        """Readable when ``work`` has something to do."""
        return self._poll.fileno()

    def work(self, now: float) -> Iterator[Asked]:
        """What clients have asked; at most so much at a time, and one thing each."""
        ready = dict(self._poll.poll(0, REQUESTS_A_TURN))
        if ready.pop(self._socket.fileno(), 0):
            self._accept(now)
        for number, events in ready.items():
            client = self._clients.get(number)
            if client is None:
                continue
            if events & select.EPOLLOUT:
                self._flush(number, client)
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                line = self._receive(number, client)
                if line is not None:
                    client.heard = now
                    yield Asked(number, client.uid, line)

    def let_go(self, now: float) -> None:
        """Let those go that have been idle for too long."""
        for number, client in list(self._clients.items()):
            if not client.stays and now - client.heard >= IDLE_SECONDS:
                self._close(number)

    def next_deadline(self) -> float | None:
        """When ``let_go`` has something to do, or None."""
        waiting = [client.heard for client in self._clients.values() if not client.stays]
        return min(waiting) + IDLE_SECONDS if waiting else None

    def send(self, client: int, line: bytes) -> None:
        """Have ``line`` sent, if that client is still there."""
        found = self._clients.get(client)
        if found is None:
            return
        found.to_send += line
        if len(found.to_send) > MOST_ANSWER_BYTES:
            self._close(client)
        else:
            self._flush(client, found)

    def keep(self, client: int) -> None:
        """That client may be idle for as long as it likes, and asks nothing more."""
        if client in self._clients:
            self._clients[client].stays = True

    def is_there(self, client: int) -> bool:
        """Whether that client has not gone."""
        return client in self._clients

    def close(self) -> None:
        """Let everybody go. The file goes, unless another's stands in its place."""
        for number in list(self._clients):
            self._close(number)
        self._socket.close()
        with suppress(OSError):
            found = os.stat(self._path)
            if (found.st_dev, found.st_ino) == (self._made.st_dev, self._made.st_ino):
                os.unlink(self._path)

    def _accept(self, now: float) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return
        connection.setblocking(False)
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, _ = _CREDENTIALS.unpack(raw)
        if uid not in (0, os.geteuid()) or not self._has_room():
            connection.close()
            return
        self._clients[connection.fileno()] = _Client(connection, uid, now)
        self._poll.register(connection, select.EPOLLIN)

    def _has_room(self) -> bool:
        """Room is made by whoever has been idle for longest, and does not watch."""
        if len(self._clients) < MOST_CLIENTS:
            return True
        idle = [
            (client.heard, number) for number, client in self._clients.items() if not client.stays
        ]
        if not idle:
            return False
        self._close(min(idle)[1])
        return True

    def _receive(self, number: int, client: _Client) -> bytes | None:
        """The next line of a client, if it is whole. What it has sent beyond that waits."""
        try:
            data = client.connection.recv(MOST_REQUEST_BYTES, socket.MSG_PEEK)
            line, end, _ = data.partition(b"\n")
            client.connection.recv(len(line) + len(end))
        except BlockingIOError:
            return None
        except OSError:
            line, end = b"", b""
        client.received += line
        if end and not client.stays:
            whole, client.received = bytes(client.received), bytearray()
            return whole
        if not line or client.stays or len(client.received) > MOST_REQUEST_BYTES:
            self._close(number)
        return None

    def _flush(self, number: int, client: _Client) -> None:
        try:
            while client.to_send:
                del client.to_send[: client.connection.send(client.to_send)]
        except BlockingIOError:
            pass
        except OSError:
            self._close(number)
            return
        wanted = select.EPOLLIN | (select.EPOLLOUT if client.to_send else 0)
        self._poll.modify(client.connection, wanted)

    def _close(self, number: int) -> None:
        client = self._clients.pop(number)
        with suppress(OSError):
            self._poll.unregister(client.connection)
        client.connection.close()


def _listening(path: Path) -> socket.socket:
    """A listening socket at ``path``, which only this user and root can open. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        _remove_left_over(path)
        before = os.umask(0o177)
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        listening.listen(MOST_CLIENTS)
    except OSError:
        listening.close()
        raise
    return listening


def _remove_left_over(path: Path) -> None:
    """Take away the file of a daemon that has ended. Raises OSError if it has not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise FileExistsError(EEXIST, "there is another file") from None
            os.unlink(path)
            return
    raise FileExistsError(EEXIST, "another daemon listens there")
