"""Addresses → host names, for the log: looked up beside the daemon, which never waits for them."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from math import inf

from pyknockd.system.process import CommandError, Search

PATIENCE = 3.0  # seconds until a line goes out without a name
AGAIN_SECONDS = 60.0  # an address whose search was given up is not looked up again before
_AT_ONCE = 16
_REMEMBERED = 1_024
# What may stand in a host name, RFC 1123; whoever owns an address chooses what its name says.
_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}")


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A search under way, until when it is waited for."""

    search: Search
    until: float


@dataclass(frozen=True, slots=True)
class _Known:
    """What is shown for an address, and until when."""

    label: str
    until: float = inf


class Names:
    """Looks names up and remembers them, found or not."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._under_way: dict[str, _UnderWay] = {}
        # Given up and killed, but not gone yet: each keeps its place until it is.
        self._killed: list[Search] = []

    def label(self, address: str, now: float) -> str | None:
        """``ADDRESS (NAME)``, or just the address if it has no name; None while that is unknown."""
        self.work(now)
        known = self._known.get(address)
        if known is not None and now < known.until:
            return known.label
        if address not in self._under_way and not self._begin(address, now):
            return address
        return None

    def work(self, now: float) -> None:
        """Take note of every search that has ended, and give up those that take too long."""
        self._killed = [search for search in self._killed if not search.is_over()]
        for address, under_way in list(self._under_way.items()):
            search = under_way.search
            if search.is_over():
                self._remember(address, _Known(_label(address, search.answer())))
            elif now >= under_way.until:
                search.kill()
                self._killed.append(search)
                self._remember(address, _Known(address, now + AGAIN_SECONDS))

    def next_deadline(self) -> float | None:
        """When ``work`` is to be called at the latest, or None."""
        return min((one.until for one in self._under_way.values()), default=None)

    def _begin(self, address: str, now: float) -> bool:
        if len(self._under_way) + len(self._killed) >= _AT_ONCE:
            return False
        try:
            search = Search(["getent", "hosts", address])
        except CommandError:
            return False
        self._under_way[address] = _UnderWay(search, now + PATIENCE)
        return True

    def _remember(self, address: str, known: _Known) -> None:
        del self._under_way[address]
        self._known[address] = known
        self._known.move_to_end(address)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def _label(address: str, answer: str) -> str:
    words = answer.split()
    return f"{address} ({words[1]})" if words[1:] and _NAME.fullmatch(words[1]) else address
