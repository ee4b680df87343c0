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
from itertools import count
from pathlib import Path

from pyknockd.control.protocol import MOST_REQUEST_BYTES

MOST_CLIENTS = 32
MOST_ANSWER_BYTES = 4 << 20  # that a client has not read yet; who reads no faster is let go
REQUESTS_A_TURN = 4
# A client that has asked nothing for so long is let go; one that watches is not.
IDLE_SECONDS = 10.0
PAUSE_SECONDS = 1.0  # that nobody is let in for where the process has no file descriptor left
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
    """``asks``: what it has asked is not answered yet, and what else it sends waits until then."""

    number: int
    connection: socket.socket
    uid: int
    heard: float
    asks: bool = False
    received: bytearray = field(default_factory=bytearray)
    to_send: bytearray = field(default_factory=bytearray)
    stays: bool = False


class Server:
    """Listens at ``path``, for root and whoever this process runs as. Closed, it leaves no file."""

    def __init__(self, path: Path) -> None:
        """Raises ServerError."""
        self._path = path
        self._poll = select.epoll()
        # By a number that no other gets: an answer may come when its client has gone.
        self._clients: dict[int, _Client] = {}
        self._by_descriptor: dict[int, _Client] = {}
        self._numbers = count()
        self._paused_until: float | None = None
        try:
            self._socket = _listening(path)
            self._made = os.stat(path)
        except OSError as error:
            self._poll.close()
            why = error.strerror or error
            raise ServerError(f"no socket for knockctl: {path}: {why}") from error
        self._poll.register(self._socket, select.EPOLLIN)

    def fileno(self) -> int:
        """Readable when ``work`` has something to do."""
        return self._poll.fileno()

    def work(self, now: float) -> Iterator[Asked]:
        """What clients have asked; at most so much at a time, and one thing each.

        Whoever has asked is heard again when he has been sent the answer, all of it.
        """
        ready = dict(self._poll.poll(0, REQUESTS_A_TURN))
        if ready.pop(self._socket.fileno(), 0):
            self._accept(now)
        for descriptor, events in ready.items():
            client = self._by_descriptor.get(descriptor)
            if client is None:
                continue
            if events & select.EPOLLOUT:
                self._flush(client)
            elif client.asks or client.to_send:
                self._close(client)  # it has gone: nobody reads the answer
            else:
                line = self._receive(client)
                if line is not None:
                    client.heard, client.asks = now, True
                    self._heed(client)
                    yield Asked(client.number, client.uid, line)

    def let_go(self, now: float) -> None:
        """Let those go that have been idle for too long, and others in."""
        for client in list(self._clients.values()):
            if not client.stays and now - client.heard >= IDLE_SECONDS:
                self._close(client)
        if self._paused_until is not None and now >= self._paused_until:
            self._paused_until = None
            self._poll.modify(self._socket, select.EPOLLIN)

    def next_deadline(self) -> float | None:
        """When ``let_go`` has something to do, or None."""
        ends = [one.heard + IDLE_SECONDS for one in self._clients.values() if not one.stays]
        if self._paused_until is not None:
            ends.append(self._paused_until)
        return min(ends, default=None)

    def send(self, client: int, line: bytes) -> None:
        """Have ``line`` sent, if that client is still there."""
        found = self._clients.get(client)
        if found is None:
            return
        found.asks = False
        found.to_send += line
        if len(found.to_send) > MOST_ANSWER_BYTES:
            self._close(found)
        else:
            self._flush(found)

    def keep(self, client: int) -> None:
        """That client may be idle for as long as it likes, and asks nothing more."""
        if client in self._clients:
            self._clients[client].stays = True

    def is_there(self, client: int) -> bool:
        """Whether that client has not gone."""
        return client in self._clients

    def close(self) -> None:
        """Let everybody go. The file goes, unless another's stands in its place."""
        for client in list(self._clients.values()):
            self._close(client)
        self._socket.close()
        self._poll.close()
        with suppress(OSError):
            found = os.stat(self._path)
            if (found.st_dev, found.st_ino) == (self._made.st_dev, self._made.st_ino):
                os.unlink(self._path)

    def _accept(self, now: float) -> None:
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            # Whoever waits goes on waiting: the loop must not be called for him all the time.
            self._paused_until = now + PAUSE_SECONDS
            self._poll.modify(self._socket, 0)
            return
        connection.setblocking(False)
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, _ = _CREDENTIALS.unpack(raw)
        if uid not in (0, os.geteuid()) or not self._has_room():
            connection.close()
            return
        client = _Client(next(self._numbers), connection, uid, now)
        self._clients[client.number] = self._by_descriptor[connection.fileno()] = client
        self._poll.register(connection, select.EPOLLIN)

    def _has_room(self) -> bool:
        """Room is made by whoever has been idle for longest, and does not watch."""
        if len(self._clients) < MOST_CLIENTS:
            return True
        idle = [client for client in self._clients.values() if not client.stays]
        if not idle:
            return False
        self._close(min(idle, key=lambda client: client.heard))
        return True

    def _receive(self, client: _Client) -> bytes | None:
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
        is_too_long = len(client.received) > MOST_REQUEST_BYTES
        if client.stays or is_too_long or not (line or end):
            self._close(client)
            return None
        if not end:
            return None
        whole, client.received = bytes(client.received), bytearray()
        return whole

    def _flush(self, client: _Client) -> None:
        try:
            while client.to_send:
                del client.to_send[: client.connection.send(client.to_send)]
        except BlockingIOError:
            pass
        except OSError:
            self._close(client)
            return
        self._heed(client)

    def _heed(self, client: _Client) -> None:
        """Be told of what matters now; that a client has gone is told in any case."""
        idle = 0 if client.asks else select.EPOLLIN
        self._poll.modify(client.connection, select.EPOLLOUT if client.to_send else idle)

    def _close(self, client: _Client) -> None:
        del self._clients[client.number]
        del self._by_descriptor[client.connection.fileno()]
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
        except BlockingIOError:
            pass  # so many wait to be let in that it can only be a daemon's
        except ConnectionRefusedError:
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise FileExistsError(EEXIST, "there is another file") from None
            os.unlink(path)
            return
    raise FileExistsError(EEXIST, "another daemon listens there")
