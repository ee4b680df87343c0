"""Names → addresses and ports, and the packets themselves."""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
import sys
from dataclasses import dataclass

from pyknockd.client.errands import ClientError, Family, Hit, Way
from pyknockd.model import Protocol

UDP_PAYLOAD = b"\0"
MAX_PORT = 2**16 - 1
CONNECT_SECONDS = 0.9  # less than the second after which a SYN would be sent again

# What C's atoi and strtoul take for a decimal number: blanks, a sign, digits.
NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")
# A list of ports as others may write it.
_LIST = re.compile(r"[0-9]+[^0-9A-Za-z]+[0-9]+")
# The SYN has gone out: no answer yet, answered at once, or (a near host) refused at once.
_SENT = frozenset(
    {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0), 0}
    | {errno.ECONNREFUSED}
)
_RESET = struct.pack("ii", 1, 0) if os.name != "nt" else struct.pack("hh", 1, 0)  # SO_LINGER
_BOUND_IF = {socket.AF_INET: (socket.IPPROTO_IP, 25), socket.AF_INET6: (41, 125)}  # macOS: ip(4)
_WANTED = {
    Family.V4: (socket.AF_INET, "; -4 wants an IPv4 address"),
    Family.V6: (socket.AF_INET6, "; -6 wants an IPv6 one"),
}


class NameNotFound(Exception):
    """A host's name does not resolve. ``again``: it may, later."""

    def __init__(self, text: str, again: bool) -> None:
        super().__init__(text)
        self.again = again


@dataclass(frozen=True, slots=True)
class Address:
    """Where the host is. ``flow`` and ``scope`` are IPv6's (RFC 3493, 3.3)."""

    family: socket.AddressFamily
    host: str
    flow: int = 0
    scope: int = 0

    def at_port(self, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
        """The form that the ``socket`` module wants for this address's family."""
        if self.family == socket.AF_INET6:
            return self.host, port, self.flow, self.scope
        return self.host, port

    def __str__(self) -> str:
        """The address in digits, with the interface of a link-local one: ``fe80::1%eth0``."""
        return socket.getnameinfo(self.at_port(0), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]


def resolve_hit(hit: tuple[Protocol, str]) -> Hit:
    """A protocol and a port as typed → a hit; raises ClientError."""
    protocol, label = hit
    return Hit(protocol, resolve_port(label, protocol), label)


def resolve_port(text: str, protocol: Protocol) -> int:
    """A port's number, or its name in services(5); raises ClientError if it is neither."""
    if not text:
        raise ClientError("a port is missing: nothing between two commas, or before the ':'")
    number = NUMBER.fullmatch(text)
    if number:
        if not 0 <= int(number[1]) <= MAX_PORT:
            raise ClientError(f"port {text!r} is not one of 0 to {MAX_PORT}")
        return int(number[1])
    try:
        # Bytes, since Python would have str be valid UTF-8.
        found = socket.getaddrinfo(None, os.fsencode(text))
    except socket.gaierror as error:
        hint = f"write a number from 0 to {MAX_PORT}"
        if _LIST.search(text):
            hint = "ports stand apart by blanks: knock gate.example.org 7000 8000:udp"
        raise ClientError(
            f"failed to resolve port {text!r}: no service of that name; {hint}"
        ) from error
    # A name that the other protocol alone has will do: knock 0.8 sends ssh:udp to port 22.
    ports = {kind: int(address[1]) for _, kind, _, _, address in reversed(found)}
    return ports.get(socket_kind(protocol), int(found[0][4][1]))


def resolve_host(host: str, family: Family) -> list[Address]:
    """The first address of ``host`` in the system's order of preference (RFC 6724).

    With BOTH the first of each family that it has. Raises NameNotFound.
    """
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]  # as an IPv6 address stands in a URL
    number, only = _WANTED.get(family, (socket.AF_UNSPEC, ""))
    try:
        # Bytes, since Python would rewrite str as an international domain name.
        found = socket.getaddrinfo(os.fsencode(host), None, number)
    except socket.gaierror as error:
        again = error.errno == socket.EAI_AGAIN
        text = f"failed to resolve host {host!r}: {error.strerror}{only}"
        raise NameNotFound(text, again) from error
    first: dict[int, Address] = {}
    for kind, _, _, _, address in found:
        fields = (int(field) for field in address[2:])
        first.setdefault(kind, Address(kind, str(address[0]), *fields))
    addresses = list(first.values())
    return addresses if family is Family.BOTH else addresses[:1]


def socket_kind(protocol: Protocol) -> socket.SocketKind:
    """The type of socket that speaks ``protocol``."""
    return socket.SOCK_DGRAM if protocol is Protocol.UDP else socket.SOCK_STREAM


def open_socket(address: Address, kind: socket.SocketKind, way: Way) -> socket.socket:
    """A socket to ``address`` that goes the ``way``. Raises OSError."""
    made = socket.socket(address.family, kind)
    try:
        if way.interface:
            _bind_to_interface(made, way.interface)
        if way.source:
            made.bind((way.source, 0))
    except BaseException:
        made.close()
        raise
    return made


def _bind_to_interface(made: socket.socket, name: str) -> None:
    option = getattr(socket, "SO_BINDTODEVICE", None)
    if option is not None:
        made.setsockopt(socket.SOL_SOCKET, option, os.fsencode(name) + b"\0")
    elif sys.platform == "darwin":
        level, number = _BOUND_IF[socket.AddressFamily(made.family)]
        made.setsockopt(level, number, socket.if_nametoindex(name))
    else:
        raise OSError(errno.ENOTSUP, "this system has no -I; write -s ADDRESS")


def send_hit(address: Address, hit: Hit, way: Way = Way()) -> socket.socket | None:  # noqa: B008
    """Send one packet from a socket of its own; raises OSError if it could not leave.

    A socket that comes back is one whose SYN nobody has answered: closing it forgets that SYN.
    """
    target = address.at_port(hit.port)
    sender = open_socket(address, socket_kind(hit.protocol), way)
    try:
        if hit.protocol is Protocol.UDP:
            sender.sendto(UDP_PAYLOAD, target)
        elif way.connect:
            _connect_and_reset(sender, target)
        else:
            sender.setblocking(False)
            code = sender.connect_ex(target)
            if code not in _SENT:
                raise OSError(code, os.strerror(code))
            if code not in (0, errno.ECONNREFUSED):
                return sender
    except BaseException:
        sender.close()
        raise
    sender.close()
    return None


def _connect_and_reset(
    sender: socket.socket, target: tuple[str, int] | tuple[str, int, int, int]
) -> None:
    """A refusal, or no answer, is as good: whoever watches has seen the SYN."""
    sender.settimeout(CONNECT_SECONDS)
    try:
        sender.connect(target)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    except (ConnectionRefusedError, TimeoutError):
        pass
