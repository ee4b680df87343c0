"""Where the daemon's lines go: syslog, a log file, standard output and error."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections import deque

from pyknockd.model.events import Trouble
from pyknockd.report.lines import Audience, Line, Priority
from pyknockd.report.log_file import LogFile
from pyknockd.system.systemd import is_journal, level

_IDENT = "knockd"
_FACILITY = 3 * 8  # LOG_DAEMON: RFC 3164, 4.1.1
_SYSLOG_SOCKET = "/dev/log"
_BACKLOG = 1_000  # lines kept while syslog is away or slow
SYSLOG_RETRY_SECONDS = 1.0
SETTLE_SECONDS = 2.0
# What is longer is cut: rsyslog and journald do the same, and syslog's socket takes no datagram of
# any size. knockd's longest lines hold a command of 4,095 bytes.
MOST_LINE_BYTES = 8_192


class Log:
    """Says one line at a time, everywhere it was asked to. Never blocks and never raises."""

    def __init__(self, *, verbose: bool = False, debug: bool = False) -> None:
        self._verbose = verbose
        self._debug = debug
        self._syslog: _Syslog | None = None
        self._file = LogFile()

    def fileno(self) -> int:
        """Readable when ``events`` may have something new."""
        return self._file.fileno()

    def open(self, path: str | None, *, use_syslog: bool) -> None:
        """Write to these from now on; the file is opened anew, or the old one kept if that fails."""
        if use_syslog and self._syslog is None:
            self._syslog = _Syslog()
        elif not use_syslog:
            self._syslog = None
        if path is None:
            self._file.close()
        else:
            self._file.open(path)

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
        self._file.write(_bytes(time.strftime("[%Y-%m-%d %H:%M] ") + f"{text}\n"))
        is_seen = self._verbose or (in_journal and self._syslog is not None)
        if line.audience is Audience.ALARM and not is_seen:
            _print(text, 2, line.priority)

    def events(self) -> list[Trouble]:
        """What there is to tell of the log itself since the last call."""
        return self._file.events()

    def debug(self, text: str) -> None:
        """One line to standard output, if ``-D`` asks for it."""
        if self._debug:
            _print(text, 1)

    def flush(self, now: float) -> None:
        """Hand over to the file, and what syslog could not take, to syslog again."""
        self._file.flush(now)
        if self._syslog is not None:
            self._syslog.flush()

    def next_deadline(self, now: float) -> float | None:
        """When ``flush`` is to be called at the latest, or None."""
        retry = now + SYSLOG_RETRY_SECONDS if self._syslog and self._syslog.waits else None
        found = [one for one in (retry, self._file.next_deadline(now)) if one is not None]
        return min(found, default=None)

    def settle(self) -> None:
        """Wait for the file for a moment, before the end."""
        self._file.settle(SETTLE_SECONDS)


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
