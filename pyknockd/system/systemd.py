"""systemd: sd_notify(3), sd-daemon(3), without its library; and the journal behind standard error."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from pyknockd.system.text import printable
from pyknockd.system.trust import commands_environment


def is_journal(descriptor: int) -> bool:
    """Whether what is written there ends up in the journal: JOURNAL_STREAM, systemd.exec(5)."""
    stream = commands_environment().get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return stream == f"{status.st_dev}:{status.st_ino}"


def level(descriptor: int, priority: int) -> str:
    """What stands before a line of syslog(3)'s ``priority``: sd-daemon(3), for the journal only."""
    return f"<{priority}>" if is_journal(descriptor) else ""


def is_fenced(status: str = "/proc/self/status") -> bool:
    """Whether this is a service whose system calls are filtered, as knockd.service has them."""
    if "INVOCATION_ID" not in commands_environment():
        return False
    try:
        lines = Path(status).read_text().splitlines()
    except OSError:
        return False
    return "Seccomp:\t2" in lines  # SECCOMP_MODE_FILTER: proc_pid_status(5)


class Notify:
    """Tells systemd if it asked to be told; otherwise does nothing."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        microseconds = os.environ.pop("WATCHDOG_USEC", "")
        meant_for_us = os.environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        interval = int(microseconds) / 1_000_000 if microseconds.isdigit() and meant_for_us else 0.0
        # Half of it, as sd_watchdog_enabled(3) advises.
        self._watchdog_seconds = interval / 2
        self._fed = 0.0
        self._status = ""

    def ready(self) -> None:
        """The daemon listens, for the first time or again after a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """The configuration is being read again."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The daemon is about to end."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; only a change is sent."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={printable(text)}")

    def feed_watchdog(self, now: float) -> None:
        """To be called from the loop, and nowhere else: it is the loop that is watched."""
        if self._watchdog_seconds and now - self._fed >= self._watchdog_seconds:
            self._fed = now
            self._send("WATCHDOG=1")

    def next_deadline(self) -> float | None:
        """When the watchdog wants to be fed again, or None."""
        return self._fed + self._watchdog_seconds if self._watchdog_seconds else None

    def _send(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
                manager.setblocking(False)
                manager.sendto(text.encode(), address)
        except OSError:
            # The service manager is away or busy; the next message is as good.
            pass
