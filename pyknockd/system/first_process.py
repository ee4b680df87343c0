"""Process 1 of a container: whoever loses his parent becomes its child, and is its to reap.

The daemon would not know those from its own children, whose status it waits for. So it is a child of
process 1, which does nothing else: it hands signals on, reaps, and ends when the daemon does.
"""

from __future__ import annotations

import os
import signal

from pyknockd.system.background import name_process
from pyknockd.system.process import KILLED

_HANDED_ON = frozenset(
    {
        *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT),
        *(signal.SIGUSR1, signal.SIGUSR2),
    }
)


def stand_in() -> int | None:
    """Go on in a child: None there. In this process the child's status, once it has ended.

    To be called before there are threads.
    """
    awaited = _HANDED_ON | {signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return None
    name_process("knockd-init")
    while True:
        number = signal.sigwait(awaited)
        if number != signal.SIGCHLD:
            os.kill(child, number)
            continue
        status = _reap(child)
        if status is not None:
            return status


def _reap(child: int) -> int | None:
    """Everybody who has ended; the status of ``child``, as a shell gives it, if it is among them."""
    found = None
    while found is None:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            break
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            found = code if code >= 0 else KILLED - code
    return found
