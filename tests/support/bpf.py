"""Classic BPF as linux/filter.h describes it: runs a filter over a packet, as the kernel would."""

from __future__ import annotations

from struct import error, iter_unpack, unpack_from

HOST, OTHER_HOST, OUTGOING = 0, 3, 4
"""Packet types, linux/if_packet.h."""

_PACKET_TYPE, _NETWORK_HEADER = 0xFFFFF004, 0xFFF00000
_SIZES = {0x00: ">I", 0x08: ">H", 0x10: ">B"}


class Machine:
    """A filter. ``link_header`` is how many bytes of a packet stand before its IP header."""

    def __init__(self, program: bytes, link_header: int) -> None:
        self._code = list(iter_unpack("=HBBI", program))
        self._link_header = link_header

    def accepts(self, packet: bytes, kind: int = HOST) -> int:
        """How many bytes of ``packet`` pass: 0 for none of it."""
        a = x = at = 0
        memory: dict[int, int] = {}
        while True:
            code, true, false, k = self._code[at]
            at += 1
            operation = code & 0x07
            if operation == 0x06:
                return min(int(k), len(packet))
            if operation == 0x05:
                at += self._jump(code, a, k, (true, false))
            elif code == 0x60:
                a = memory[k]
            elif operation == 0x00:
                try:
                    a = self._load(packet, code, k + (x if code & 0xE0 == 0x40 else 0), kind)
                except error:
                    return 0
            elif code == 0x01:
                x = k
            elif code == 0x02:
                memory[k] = a
            elif code in (0x07, 0x87):
                a, x = (a, a) if code == 0x07 else (x, x)
            else:
                a = self._compute(code, a, k, x)

    def _load(self, packet: bytes, code: int, offset: int, kind: int) -> int:
        offset &= 0xFFFFFFFF
        if offset == _PACKET_TYPE:
            return kind
        if offset >= _NETWORK_HEADER:
            offset += self._link_header - _NETWORK_HEADER
        value: int = unpack_from(_SIZES[code & 0x18], packet, offset)[0]
        return value

    def _jump(self, code: int, a: int, k: int, ways: tuple[int, int]) -> int:
        if code == 0x05:
            return k
        holds = {0x15: a == k, 0x25: a > k, 0x35: a >= k, 0x45: bool(a & k)}[code]
        return ways[0] if holds else ways[1]

    def _compute(self, code: int, a: int, k: int, x: int) -> int:
        results = {0x04: a + k, 0x0C: a + x, 0x54: a & k, 0x64: a << k, 0x74: a >> k}
        return results[code] & 0xFFFFFFFF
