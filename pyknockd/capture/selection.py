"""Which interfaces are meant: by name, ``any``, or ``auto``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from pyknockd.model import ANY_INTERFACE, AUTO_INTERFACE

_FIRST_CHOICE = "eth0"  # knockd's default, where there is one
_LOOPBACK = "lo"


class Selection:
    """``any`` is every interface there is.

    ``auto`` is eth0, or without one the interface of the default route. While there is no such route
    it stays what it was, or is the only interface beside the loopback.
    """

    def __init__(
        self, wanted: Sequence[str], default_route: Callable[[Collection[str]], str | None]
    ) -> None:
        """``default_route`` gives its interface, one of those that it is told are there."""
        self._wanted = tuple(wanted)
        self._default_route = default_route
        self._auto = _FIRST_CHOICE

    @property
    def heeds_routes(self) -> bool:
        """Whether a default route may change what is meant."""
        return AUTO_INTERFACE in self._wanted and ANY_INTERFACE not in self._wanted

    def is_named(self, interface: str) -> bool:
        """Whether it is asked for by its name, so that it is waited for."""
        return interface in self._wanted

    def names(self, there: Collection[str]) -> list[str]:
        """What is meant, where the interfaces ``there`` are; perhaps some that are not."""
        if ANY_INTERFACE in self._wanted:
            return list(there)
        if self.heeds_routes:
            self._auto = self._choose(there)
        return list(
            dict.fromkeys(self._auto if name == AUTO_INTERFACE else name for name in self._wanted)
        )

    def _choose(self, there: Collection[str]) -> str:
        if _FIRST_CHOICE in there:
            return _FIRST_CHOICE
        route = self._default_route(there)
        if route is not None:
            return route
        if self._auto in there:
            return self._auto
        others = [name for name in there if name != _LOOPBACK]
        return others[0] if len(others) == 1 else _FIRST_CHOICE
