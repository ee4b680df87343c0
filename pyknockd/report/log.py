"""Where the daemon's lines go: syslog, a log file, standard output and error."""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
import time
from collections import deque

from pyknockd.model.events import Side, Trouble
from pyknockd.report.lines import Audience, Line, Priority
from pyknockd.system.systemd import is_journal, level

_IDENT = "knockd"
_FACILITY = 3 * 8  # LOG_DAEMON: RFC 3164, 4.1.1
_SYSLOG_SOCKET = "/dev/log"
_BACKLOG = 1_000  # lines kept while syslog is away or slow
_FILE_MODE = 0o640
# What is longer is cut: rsyslog and journald do the same, and syslog's socket takes no datagram of
# any size. knockd's longest lines hold a command of 4,095 bytes.
MOST_LINE_BYTES = 8_192


class Log:
    """Says one line at a time, everywhere it was asked to. Never blocks and never raises."""

    def __init__(self, *, verbose: bool = False, debug: bool = False) -> None:
        self._verbose = verbose
        self._debug = debug
        self._syslog: _Syslog | None = None
        self._path: str | None = None
        self._file: int | None = None
        self._file_is_stuck = False
        self._events: list[Trouble] = []

    def open(self, path: str | None, *, use_syslog: bool) -> None:
        """Write to these from now on; the file is opened anew, or the old one kept if that fails."""
        if use_syslog and self._syslog is None:
            self._syslog = _Syslog()
        elif not use_syslog:
            self._syslog = None
        descriptor = None
        if path is not None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
            flags |= os.O_NONBLOCK  # a FIFO that nobody reads is an error, not a wait
            if _is_shared(os.path.dirname(path)):
                # Another user could have laid a link there that leads to a file of root's.
                flags |= os.O_NOFOLLOW
            try:
                descriptor = os.open(path, flags, _FILE_MODE)
            except (OSError, ValueError) as error:
                self._tell(f"cannot open log file {path}: {getattr(error, 'strerror', error)}")
                return
        if self._file is not None:
            os.close(self._file)
        self._path, self._file, self._file_is_stuck = path, descriptor, False

    def write(self, line: Line) -> None:
        """``line``, whose source is part of its text by now, to those who are to read it."""
        text = _cut(line.text)
        if line.audience is Audience.DEBUG:
            self.debug(text)
            return
        if self._verbose:
            _print(text, 1, line.priority)
        if line.audience is Audience.VERBOSE:
            return
        in_journal = is_journal(2)
        if self._syslog is not None:
            # knockd has but one priority, and who reads syslog may go by it.
            priority = line.priority if in_journal else Priority.NOTICE
            self._syslog.say(f"{text}\n" if line.line_feed else text, priority)
        if self._file is not None:
            self._write(self._file, text)
        is_seen = self._verbose or (in_journal and self._syslog is not None)
        if line.audience is Audience.ALARM and not is_seen:
            _print(text, 2, line.priority)

    def events(self) -> list[Trouble]:
        """What there is to tell of the log itself since the last call."""
        events, self._events = self._events, []
        return events

    def _write(self, file: int, text: str) -> None:
        stamp = time.strftime("[%Y-%m-%d %H:%M] ")
        try:
            os.write(file, _bytes(f"{stamp}{text}\n"))
        except OSError as error:
            # A full disk must not keep a door shut; the line is in the other places.
            if not self._file_is_stuck:
                self._file_is_stuck = True
                self._tell(f"log file {self._path} cannot be written: {error.strerror}")
        else:
            self._file_is_stuck = False

    def _tell(self, text: str) -> None:
        self._events.append(Trouble(time.monotonic(), Side.LOG, text))

    def debug(self, text: str) -> None:
        """One line to standard output, if ``-D`` asks for it."""
        if self._debug:
            _print(text, 1)

    def flush(self) -> None:
        """Try again to hand over what syslog could not take."""
        if self._syslog is not None:
            self._syslog.flush()

    @property
    def waits(self) -> bool:
        """Whether there are lines that syslog has not taken yet."""
        return self._syslog is not None and self._syslog.waits


class _Syslog:
    """The C library's syslog(3), but for blocking: what cannot be sent at once waits."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._waiting: deque[bytes] = deque()
        self._lost = 0

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    def say(self, text: str, priority: Priority) -> None:
        self._waiting.append(_datagram(text, priority))
        if len(self._waiting) > _BACKLOG:
            self._waiting.popleft()
            self._lost += 1
        self.flush()

    def flush(self) -> None:
        self._send()
        if self._lost and not self._waiting:
            lost, self._lost = self._lost, 0
            text = f"{lost} lines were lost while syslog did not take any"
            self._waiting.append(_datagram(text, Priority.NOTICE))
            self._send()

    def _send(self) -> None:
        reconnected = False
        while self._waiting:
            try:
                self._connected().send(self._waiting[0])
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.EMSGSIZE:  # never, as lines are cut; and then never again
                    self._waiting.popleft()
                    self._lost += 1
                    continue
                if reconnected or not self._reconnect():
                    return
                reconnected = True
                continue
            self._waiting.popleft()

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            )
            self._socket.connect(_SYSLOG_SOCKET)
        return self._socket

    def _reconnect(self) -> bool:
        """Whether a fresh connection could be made: syslog may have been restarted."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        try:
            self._connected()
        except OSError:
            if self._socket is not None:
                self._socket.close()
            self._socket = None
            return False
        return True


def _is_shared(folder: str) -> bool:
    """Whether others than root and this user may put things into ``folder``."""
    try:
        status = os.stat(folder or ".")
    except OSError:
        return True
    writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return bool(writable) or status.st_uid not in (0, os.geteuid())


def _datagram(text: str, priority: Priority) -> bytes:
    stamp = time.strftime("%b %e %H:%M:%S")
    return _bytes(f"<{_FACILITY + priority.value}>{stamp} {_IDENT}: {text}")


def _cut(text: str) -> str:
    data = _bytes(text)
    if len(data) <= MOST_LINE_BYTES:
        return text
    more = len(data) - MOST_LINE_BYTES
    return data[:MOST_LINE_BYTES].decode("utf-8", "replace") + f" … ({more} bytes more)"


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # Half a pair of UTF-16, which no byte of a file was read as: YAML's "\ud800" gives one.
        return text.encode("utf-8", "backslashreplace")


def _print(text: str, descriptor: int, priority: Priority = Priority.NOTICE) -> None:
    data = _bytes(f"{level(descriptor, priority.value)}{text}\n")
    try:
        # Whoever has stopped reading, a pager or a full pipe, must not stop the daemon. A pipe that
        # takes anything takes so many bytes, and may block for more: pipe(7).
        for start in range(0, len(data), select.PIPE_BUF):
            if not select.select((), (descriptor,), (), 0)[1]:
                return
            os.write(descriptor, data[start : start + select.PIPE_BUF])
    except (OSError, ValueError):
        # Whoever was reading has gone; the daemon stays.
        pass
