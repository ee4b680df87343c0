"""What may decide which code root runs: never the folder, environment or home of who started us.

Libraries look for code where the environment says (XTABLES_LIBDIR, OPENSSL_CONF, PATH …), in the
home that it names (scapy unpickles a cache there) or in the current folder (python-iptables). An
environment that was kept, `sudo -E` or `su -m`, is another user's. So this process has none of it:
only what it reads itself. The commands of the configuration are the admin's, and get all of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which

# What sh(1) takes where the environment has no PATH.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Of the service manager, for this process and for no command: sd_notify(3).
_FROM_MANAGER = frozenset(("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"))
# Nothing here names code. XTABLES_LOCKFILE is the lock's name, for us as for iptables.
_KEPT = _FROM_MANAGER | {
    *("STATE_DIRECTORY", "RUNTIME_DIRECTORY", "XTABLES_LOCKFILE", "TZ"),
    *("COLUMNS", "TERM", "NO_COLOR"),
}
_NO_PROGRAMS = "/nonexistent"  # Debian's name for a folder that there is none of

# The other half of os.environ: what this process was started with, once it has been taken from it.
_withdrawn: dict[str, str] = {}


def withdraw_environment() -> None:
    """Take its environment from this process, and from what it starts by itself.

    To be called before any library is loaded that is not Python's own.
    """
    _withdrawn.update(os.environ)
    _withdrawn.setdefault("PATH", SYSTEM_PATH)
    for name in _FROM_MANAGER:
        _withdrawn.pop(name, None)
    for name in set(os.environ) - _KEPT:
        with suppress(OSError):  # a nameless one, "=value", cannot be taken away, and harms nobody
            del os.environ[name]
    # No HOME would do as little good: it would be looked up, and caches be made there.
    os.environ.update(PATH=SYSTEM_PATH, HOME=os.devnull)


def commands_environment() -> Mapping[str, str]:
    """What the commands of the configuration see: what this process was started with."""
    return _withdrawn or os.environ


def find_program(name: str) -> str | None:
    """The absolute path of a command's program, found as the shell would; None if there is none."""
    found = which(name, path=commands_environment().get("PATH"))
    return None if found is None else os.path.abspath(found)


@contextmanager
def inside(folder: str) -> Iterator[None]:
    """Relative paths begin at ``folder`` meanwhile. Raises OSError."""
    here = os.open(".", os.O_PATH | os.O_CLOEXEC)
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(here)
        os.close(here)


@contextmanager
def nowhere() -> Iterator[None]:
    """For loading what looks around: in the folder /, and without a program in PATH. OSError."""
    path = os.environ.get("PATH", SYSTEM_PATH)
    os.environ["PATH"] = _NO_PROGRAMS
    try:
        with inside("/"):
            yield
    finally:
        os.environ["PATH"] = path


def others_can_change(path: Path) -> bool:
    """Whether a user but root and this one can change what is at ``path``, which has no link in it.

    That is so if he may write there, or put something else in the place of any folder on the way. In
    one like /tmp, whose sticky bit is set, nobody can take away what is another's. Raises OSError.
    """
    for place in (path, *path.parents):
        status = place.lstat()
        writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        sticky = place != path and status.st_mode & stat.S_ISVTX
        if status.st_uid not in (0, os.geteuid()) or (writable and not sticky):
            return True
    return False
