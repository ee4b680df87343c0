"""Frames off an interface: the only room that imports scapy.

Of scapy only the packet socket is used: `sniff()` ends silently on an error, and a full dissection
of each packet costs twenty times what reading a header does.
"""

from __future__ import annotations

import ctypes
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from struct import Struct, pack

import scapy.data
from scapy.arch.linux import L2ListenSocket
from scapy.error import Scapy_Exception

from pyknockd.capture.decode import (
    NO_PEERS_ON_LOOPBACK,
    Frame,
    Ingress,
    NoPeers,
    no_peers_on_wire,
    text_of,
)
from pyknockd.capture.errors import CaptureError
from pyknockd.capture.filter import Filter
from pyknockd.model import Link

BUFFER = 8 * 1024 * 1024  # bytes that wait in the kernel; scapy's 64 KiB lose a burst
BATCH = 256  # packets a read, so that a flood leaves time for all else

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_SO_RCVBUFFORCE = 33
_SOL_PACKET, _PACKET_AUXDATA = 263, 8  # linux/if_packet.h; scapy asks for the latter
_PACKET_STATISTICS, _STATISTICS = 6, Struct("=II")  # tpacket_stats: packets, drops
_AUXDATA = Struct("=14xH")  # tpacket_auxdata, as far as tp_net: where the IP header begins
_ANCILLARY_SIZE = 256
_ETH_P_ALL = 0x0003  # linux/if_ether.h
_ETHERNET, _LOOPBACK = 1, 772  # ARPHRD_ETHER, ARPHRD_LOOPBACK, linux/if_arp.h
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


class Sniffer:
    """What comes in on one interface, as far as it is listened for. Not promiscuous."""

    def __init__(self, interface: str) -> None:
        """Hears nothing yet. Raises CaptureError, whose text says what to do about it."""
        self._interface = interface
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
            raise CaptureError(
                f"listening on {interface} needs CAP_NET_RAW: run it as root, or with that capability"
            ) from error
        except (OSError, Scapy_Exception) as error:
            raise CaptureError(f"cannot listen on {interface}: {error}") from error
        hardware = self._packets.getsockname()[3]
        self._link = Link.ETHERNET if hardware in (_ETHERNET, _LOOPBACK) else Link.IP
        self._is_loopback = hardware == _LOOPBACK
        no_peers = NO_PEERS_ON_LOOPBACK if self._is_loopback else no_peers_on_wire(())
        self._ingress = Ingress(interface, self._link, {}, no_peers)
        self._filter = Filter(())

    def listen(self, wanted: Filter) -> None:
        """Hear what ``wanted`` lets through from now on, without a gap. Raises CaptureError."""
        self._attach(wanted.program(self._ingress.own, self._link))
        self._filter = wanted
        self._ingress = replace(self._ingress, payloads=wanted.payloads)

    def refresh(self, own: frozenset[bytes], no_peers: NoPeers) -> None:
        """Take note of the interface's addresses, and of those that none on the wire can have.

        Costs next to nothing where they are as they were. Raises CaptureError.
        """
        if own != self._ingress.own.keys():
            self._attach(self._filter.program(own, self._link))
            texts = {address: text_of(address) for address in own}
            self._ingress = replace(self._ingress, own=texts)
        if no_peers is not self._ingress.no_peers and not self._is_loopback:
            self._ingress = replace(self._ingress, no_peers=no_peers)

    def fileno(self) -> int:
        return self._packets.fileno()

    def read(self, now: float) -> Iterator[Frame]:
        """The frames that have come, at most ``BATCH``."""
        receive = self._packets.recv if self._link is Link.ETHERNET else self._receive_bare
        snap_length = self._filter.snap_length
        for _ in range(BATCH):
            try:
                data = receive(snap_length)
            except BlockingIOError:
                return
            except OSError:
                # ENETDOWN, once, when the link goes down; the socket works again when it is up.
                continue
            yield Frame(data, self._ingress, now)

    def dropped(self) -> int:
        """How many packets the kernel had no room for since the last call."""
        counts = self._packets.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        return int(_STATISTICS.unpack(counts)[1])

    def close(self) -> None:
        self._socket.close()

    def _receive_bare(self, size: int) -> bytes:
        """The next frame from its IP header on."""
        frame, ancillary, _, _ = self._packets.recvmsg(size, _ANCILLARY_SIZE)
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
