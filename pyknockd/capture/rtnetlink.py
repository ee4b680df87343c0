"""The kernel's network interfaces and their addresses, through rtnetlink (rtnetlink(7))."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from struct import Struct

from pyknockd.system.netlink import DONE, DUMP, ERROR, HEADER, REQUEST, attributes, messages

_RTM_NEWADDR, _RTM_GETADDR = 20, 22
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_GROUPS = 0x1 | 0x10 | 0x100  # RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
_ADDRESS = Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_BUFFER = 65_536


def names() -> list[str]:
    """The interfaces there are, in the kernel's order."""
    return [name for _, name in socket.if_nameindex()]


def addresses(interface: str) -> frozenset[str]:
    """Every IPv4 and IPv6 address of ``interface``; none if it is not there. Raises OSError."""
    try:
        wanted = socket.if_nametoindex(interface)
    except OSError:
        return frozenset()
    found = set()
    for kind, body in _dump(_RTM_GETADDR, _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        if kind != _RTM_NEWADDR:
            continue
        family, _, _, _, index = _ADDRESS.unpack_from(body)
        if index != wanted or family not in (socket.AF_INET, socket.AF_INET6):
            continue
        found_here = attributes(body[_ADDRESS.size :])
        # On a point-to-point link IFA_ADDRESS is the peer's and IFA_LOCAL ours.
        address = found_here.get(_IFA_LOCAL, found_here.get(_IFA_ADDRESS))
        if address is not None:
            found.add(socket.inet_ntop(family, address))
    return frozenset(found)


def default_route() -> str | None:
    """The interface of the default route, IPv4's before IPv6's, or None."""
    with contextlib.suppress(OSError), open("/proc/net/route") as routes:
        for fields in map(str.split, routes):
            if fields[1] == fields[7] == "00000000":
                return fields[0]
    with contextlib.suppress(OSError), open("/proc/net/ipv6_route") as routes:
        for fields in map(str.split, routes):
            if fields[0] == "0" * 32 and fields[1] == "00" and fields[9] != "lo":
                return fields[9]
    return None


class Changes:
    """Readable (``fileno``) as soon as an interface or an address has come, gone or changed."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self._socket.bind((0, _GROUPS))

    def fileno(self) -> int:
        return self._socket.fileno()

    def drain(self) -> None:
        """Forget what was reported so far: whoever is told looks for himself."""
        while True:
            try:
                self._socket.recv(_BUFFER)
            except BlockingIOError:
                return
            except OSError:
                # ENOBUFS: more changed than fitted. The caller looks anyway.
                continue

    def close(self) -> None:
        self._socket.close()


def _dump(request: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """(message type, message body) of each answer to a dump request."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.send(HEADER.pack(HEADER.size + len(body), request, REQUEST | DUMP, 1, 0) + body)
        while True:
            for message in messages(netlink.recv(_BUFFER)):
                if message.kind == DONE:
                    return
                if message.kind == ERROR:
                    raise OSError(message.error(), os.strerror(message.error()))
                yield message.kind, message.body
