"""Packets off an interface, as knocks: the only room that imports scapy.

Of scapy only the packet socket is used: `sniff()` ends silently on an error, and a full dissection
of each packet costs twenty times what reading a header does.
"""

from __future__ import annotations

import ctypes
import logging
import socket
from collections.abc import Iterator, Sequence
from dataclasses import replace
from struct import Struct, pack

import scapy.data
from scapy.arch.linux import L2ListenSocket
from scapy.error import Scapy_Exception

from pyknockd.capture import filter as packet_filter
from pyknockd.capture import rtnetlink
from pyknockd.capture.decode import knock_of
from pyknockd.capture.flood import Sieve
from pyknockd.model import Door, Knock, Link

BUFFER = 8 * 1024 * 1024  # bytes that wait in the kernel; scapy's 64 KiB lose a burst
BATCH = 256  # packets a read, so that a flood leaves time for all else

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_SO_RCVBUFFORCE = 33
_SOL_PACKET, _PACKET_AUXDATA = 263, 8  # linux/if_packet.h; scapy asks for the latter
_PACKET_STATISTICS, _STATISTICS = 6, Struct("=II")  # tpacket_stats: packets, drops
_AUXDATA = Struct("=14xH")  # tpacket_auxdata, as far as tp_net: where the IP header begins
_ANCILLARY_SIZE = 256
_ETH_P_ALL = 0x0003  # linux/if_ether.h
_WITH_ETHERNET_HEADER = frozenset((1, 772))  # ARPHRD_ETHER, ARPHRD_LOOPBACK, linux/if_arp.h
_DROP_ALL = pack("=HBBI", 0x06, 0, 0, 0)

# scapy warns of link types that it would have to dissect; nothing is dissected here.
logging.getLogger("scapy").setLevel(logging.ERROR)


def _release() -> None:
    """Give back 10 MB: scapy 2.6 and later keep all the makers of network cards in memory."""
    scapy.data.MANUFDB = None
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's, malloc_trim(3)
    if trim is not None:
        trim(0)


_release()


class CaptureError(Exception):
    """An interface cannot be listened on."""


class Sniffer:
    """What comes in on one interface, as far as some door listens to it. Not promiscuous."""

    def __init__(self, interface: str, *, ipv4_only: bool = False) -> None:
        """Raises CaptureError, whose text says what to do about it."""
        self._interface = interface
        self._ipv4_only = ipv4_only
        self._own: frozenset[str] = frozenset()
        self._doors: Sequence[Door] = ()
        if interface not in rtnetlink.names():
            there = ", ".join(rtnetlink.names())
            raise CaptureError(f"there is no interface {interface} (there are: {there})")
        try:
            # Type 0 hears nothing: neither a packet before there is a filter, nor that the link is
            # down, which would make scapy give up.
            self._socket = L2ListenSocket(iface=interface, type=0, promisc=False, nofilter=1)
            self._packets: socket.socket = self._socket.ins
            self._packets.setblocking(False)
            self._enlarge_buffer()
            self._attach(_DROP_ALL)
            self._packets.bind((interface, _ETH_P_ALL))
        except PermissionError as error:
            raise CaptureError(f"listening on {interface} needs root") from error
        except (OSError, Scapy_Exception) as error:
            raise CaptureError(f"cannot listen on {interface}: {error}") from error
        hardware = self._packets.getsockname()[3]
        self._link = Link.ETHERNET if hardware in _WITH_ETHERNET_HEADER else Link.IP

    def listen(self, doors: Sequence[Door]) -> None:
        """Listen for these doors' knocks from now on, without a gap. Raises CaptureError."""
        self._doors = doors
        self.refresh()

    def refresh(self) -> None:
        """Look again which addresses the interface has. Raises CaptureError, OSError."""
        self._own = rtnetlink.addresses(self._interface)
        self._attach(packet_filter.program(self._doors, self._own, self._link))

    def fileno(self) -> int:
        return self._packets.fileno()

    def read(self, sieve: Sieve, now: float) -> Iterator[Knock]:
        """The knocks of the packets that have come, at most ``BATCH``, as ``sieve`` lets them pass.

        One by one: what the sieve knows of a source is what came of its earlier knocks.
        """
        for _ in range(BATCH):
            try:
                frame = self._receive()
            except BlockingIOError:
                return
            except OSError:
                # ENETDOWN, once, when the link goes down; the socket works again when it is up.
                continue
            for passed, age in sieve.sift(frame, self._link, now):
                knock = knock_of(passed, self._link, self._own)
                if knock is None or (self._ipv4_only and ":" in knock.source):
                    continue
                yield replace(knock, age=age) if age else knock

    def dropped(self) -> int:
        """How many packets the kernel had no room for since the last call."""
        counts = self._packets.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        return int(_STATISTICS.unpack(counts)[1])

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> bytes:
        """The next frame; where there is no Ethernet header, from its IP header on."""
        if self._link is Link.ETHERNET:
            return self._packets.recv(packet_filter.SNAP_LENGTH)
        frame, ancillary, _, _ = self._packets.recvmsg(packet_filter.SNAP_LENGTH, _ANCILLARY_SIZE)
        for level, kind, data in ancillary:
            if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
                return frame[_AUXDATA.unpack_from(data)[0] :]
        return frame

    def _enlarge_buffer(self) -> None:
        try:
            self._packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER)
        except PermissionError:
            # Without CAP_NET_ADMIN as much as net.core.rmem_max allows.
            self._packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)

    def _attach(self, program: bytes) -> None:
        code = ctypes.create_string_buffer(program, len(program))
        filter_program = pack("HL", len(program) // 8, ctypes.addressof(code))
        try:
            self._packets.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_program)
        except OSError as error:
            raise CaptureError(f"the kernel refuses the packet filter: {error}") from error
