"""One packet that comes in on several interfaces is one knock.

A bridge, a bond or a VLAN hears what an interface below it has heard already. An address of the host
is meant on the one interface that has it, but a target is meant on all (``Listen.target``). So of
packets that look alike, one is a knock only if its interface has heard more of them than any other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from pyknockd.model import Knock, Listen

MOST_REMEMBERED = 4_096
_APART_SECONDS = 1.0  # copies come in at once, and are read within one turn of the loop or two


@dataclass(slots=True)
class _Heard:
    """How many packets that look alike each interface has heard, how many were knocks, the last's time."""

    by_interface: dict[str, int] = field(default_factory=dict)
    knocks: int = 0
    time: float = 0.0


class Copies:
    """Remembers the packets of the last second to a target."""

    def __init__(self) -> None:
        self.targets: frozenset[str] = frozenset()
        self._heard: OrderedDict[int, _Heard] = OrderedDict()

    def listen(self, listens: Iterable[Listen]) -> None:
        """Look at packets to the targets of ``listens`` from now on."""
        self.targets = frozenset(one.target for one in listens if one.target is not None)

    def is_copy(self, knock: Knock, interface: str, now: float) -> bool:
        """Whether ``knock``, read from ``interface`` at ``now``, has been heard on another already."""
        self._forget(now)
        looks = hash(
            (
                *(knock.source, knock.destination, knock.protocol, knock.port, knock.source_port),
                *(knock.flags, knock.sequence_number, knock.payload),
            )
        )
        heard = self._heard.setdefault(looks, _Heard())
        self._heard.move_to_end(looks)
        heard.time = now
        count = heard.by_interface[interface] = heard.by_interface.get(interface, 0) + 1
        if count <= heard.knocks:
            return True
        heard.knocks = count
        return False

    def _forget(self, now: float) -> None:
        while self._heard:
            oldest = next(iter(self._heard.values()))
            if now - oldest.time <= _APART_SECONDS and len(self._heard) < MOST_REMEMBERED:
                return
            self._heard.popitem(last=False)
