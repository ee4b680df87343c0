"""Addresses → host names, for the log: looked up beside the daemon, which never waits for them."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass

from pyknockd.system.process import CommandError, Process, spawn

PATIENCE = 3.0  # seconds until a line goes out without a name
_AT_ONCE = 16
_REMEMBERED = 1_024
# What may stand in a host name, RFC 1123; whoever owns an address chooses what its name says.
_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}")


@dataclass(frozen=True, slots=True)
class _Search:
    """A `getent` under way for one address, until when it is waited for."""

    process: Process
    until: float


class Names:
    """Looks names up and remembers them, found or not."""

    def __init__(self) -> None:
        self._labels: OrderedDict[str, str] = OrderedDict()
        self._searches: dict[str, _Search] = {}

    def label(self, address: str, now: float) -> str | None:
        """``ADDRESS (NAME)``, or just the address if it has no name; None while that is unknown."""
        if address in self._labels:
            return self._labels[address]
        search = self._searches.get(address)
        if search is None:
            if len(self._searches) >= _AT_ONCE or not self._begin(address, now):
                return address
            return None
        if search.process.poll() is not None:
            self._end(address, search)
        elif now >= search.until:
            search.process.kill()
            self._end(address, search)
        return self._labels.get(address)

    def _begin(self, address: str, now: float) -> bool:
        try:
            process = spawn(["getent", "hosts", address])
        except CommandError:
            return False
        self._searches[address] = _Search(process, now + PATIENCE)
        return True

    def _end(self, address: str, search: _Search) -> None:
        printed = search.process.communicate()[0].decode("ascii", "replace").split()
        del self._searches[address]
        found = search.process.returncode == 0 and len(printed) > 1 and _NAME.fullmatch(printed[1])
        self._labels[address] = f"{address} ({printed[1]})" if found else address
        if len(self._labels) > _REMEMBERED:
            self._labels.popitem(last=False)
