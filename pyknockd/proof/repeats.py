"""The SYNs that had an effect, for as long as their senders' kernels may send them again."""

from __future__ import annotations

from collections import OrderedDict

from pyknockd.model import Flags, Knock, Protocol

# Linux repeats an unanswered SYN 1, 3, 7, 15, 31 and 63 seconds after the first (tcp(7), tcp_syn_retries).
RETRANSMISSION_SECONDS = 65.0
MOST_REMEMBERED = 65_536  # of all sources together, about 10 MB
_TCP, _SYN = Protocol.TCP, int(Flags.SYN)


class Repeats:
    """Remembers SYNs, the last ``most`` of them, each by its ports, addresses and sequence number."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        # When each first came, oldest first.
        self._first: OrderedDict[int, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._first)

    def has(self, knock: Knock) -> bool:
        """Whether ``knock`` is a SYN that came before and had an effect."""
        if not knock.flags & _SYN or knock.protocol is not _TCP:
            return False
        first = self._first.get(_identity(knock))
        return first is not None and knock.time - first < RETRANSMISSION_SECONDS

    def add(self, knock: Knock) -> None:
        """``knock`` has had an effect."""
        if not knock.flags & _SYN or knock.protocol is not _TCP or self.has(knock):
            return
        identity = _identity(knock)
        self._first.pop(identity, None)
        self._first[identity] = knock.time
        if len(self._first) > self._most:
            self._first.popitem(last=False)


def _identity(knock: Knock) -> int:
    # Only the hash, for its size: one SYN in 2**58 is taken for another.
    ports = (knock.port, knock.source_port, knock.sequence_number)
    return hash((knock.source, knock.destination, ports))
