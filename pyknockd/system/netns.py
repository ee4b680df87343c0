"""Throw-away network namespaces with a cable between them: hosts for the demo and the tests.

Nothing of the machine's own network is touched. Needs root and iproute2's ``ip``.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pyknockd.system.process import CommandError, output

_CLONE_NEWNET = 0x40000000  # setns(2)
_HERE = "/proc/thread-self/ns/net"


class Namespace:
    """A network namespace of its own, with nothing in it but a loopback that is up."""

    def __init__(self, name: str) -> None:
        """Raises CommandError."""
        self.name = name
        output(["ip", "netns", "add", name])
        try:
            self.ip("link", "set", "lo", "up")
        except CommandError:
            self.delete()
            raise

    def ip(self, *words: str) -> str:
        """``ip WORDS`` inside. Raises CommandError."""
        return output(["ip", "-n", self.name, *words])

    def run(self, *words: str) -> str:
        """What the program ``words`` prints when it is run inside. Raises CommandError."""
        return output([*self.prefix, *words])

    @property
    def prefix(self) -> list[str]:
        """The words that run the words behind them inside."""
        return ["ip", "netns", "exec", self.name]

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Sockets that this thread makes meanwhile belong to the namespace."""
        with open(_HERE, "rb") as outside, open(f"/run/netns/{self.name}", "rb") as within:
            _enter(within.fileno())
            try:
                yield
            finally:
                _enter(outside.fileno())

    def delete(self) -> None:
        """Remove it; its interfaces go with it once its last process has ended."""
        try:
            output(["ip", "netns", "del", self.name])
        except CommandError:
            # It may be gone already, and whoever cleans up goes on cleaning up.
            pass


def connect(left: Namespace, left_interface: str, right: Namespace, right_interface: str) -> None:
    """A veth cable between two namespaces, up at both ends. Raises CommandError."""
    left.ip(
        *("link", "add", left_interface, "type", "veth"),
        *("peer", "name", right_interface, "netns", right.name),
    )
    left.ip("link", "set", left_interface, "up")
    right.ip("link", "set", right_interface, "up")


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
