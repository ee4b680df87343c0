"""The ``knock`` client: one packet to each port of a host, in the order given.

    arguments → Options → Address and Hits → packets

A TCP hit is a connection attempt that nobody waits for: the socket is closed as soon as the SYN is
on its way, so the kernel never sends that SYN a second time. A UDP hit is a datagram of one zero
byte. Everything is resolved before anything is sent: a mistyped last port leaves no half sequence
behind, and a slow name server does not eat into the door's ``Seq_Timeout`` between two hits.
"""

from __future__ import annotations

import errno
import getopt
import os
import re
import socket
import sys
import time
from dataclasses import dataclass

from pyknockd import __version__
from pyknockd.model import Protocol

INTERRUPTED = 130  # what a shell answers for a program that Ctrl-C has ended
USAGE = """\
usage: knock [options] HOST PORT[:PROTO] [PORT[:PROTO]] ...

Sends one packet to each PORT of HOST, one after the other.

  -u, --udp          send every hit over UDP, whatever its PROTO says
  -d, --delay MS     pause for MS milliseconds after each hit
  -4, --ipv4         knock at an IPv4 address of HOST
  -6, --ipv6         knock at an IPv6 address of HOST
  -v, --verbose      tell of each hit on standard output
  -V, --version      print the version and stop
  -h, --help         print this text and stop

PORT is a number or a service name, PROTO is tcp (if none is given) or udp. Ports stand apart by
blanks or, as in knockd.conf, by commas.
For example:  knock gate.example.org 7000 8000:udp 9000:tcp"""
VERSION = f"knock 0.8\npyknockd {__version__}"

SHORT_OPTIONS = "ud:46vVh"
LONG_OPTIONS = ["udp", "delay=", "ipv4", "ipv6", "verbose", "version", "help"]
UDP_PAYLOAD = b"\0"
MAX_DELAY_MS = 2**31 - 1
MAX_PORT = 2**16 - 1

# What C's atoi and strtoul take for a decimal number: blanks, a sign, digits.
# A list of ports as others may write it.
_LIST = re.compile(r"[0-9]+[^0-9A-Za-z]+[0-9]+")
_NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")
# The SYN has gone out: no answer yet, answered at once, or (a near host) refused at once.
_SENT = frozenset({errno.EINPROGRESS, 0, errno.ECONNREFUSED})


class ClientError(Exception):
    """Nothing can be sent; the text says why, for standard error."""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line. ``ports`` are as typed, ``delay`` is in seconds."""

    host: str
    ports: tuple[str, ...]
    udp: bool = False
    delay: float = 0.0
    family: socket.AddressFamily = socket.AF_UNSPEC
    verbose: bool = False


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


@dataclass(frozen=True, slots=True)
class Hit:
    """One packet to send. ``label`` is the port as the user wrote it, which ``-v`` prints."""

    protocol: Protocol
    port: int
    label: str


def read_options(given: list[tuple[str, str]], operands: list[str]) -> Options:
    """What getopt found → a record; raises ClientError. Of an option given twice the last holds."""
    udp = verbose = False
    delay = "0"
    family = socket.AF_UNSPEC
    for name, value in given:
        match name:
            case "-u" | "--udp":
                udp = True
            case "-d" | "--delay":
                delay = value
            case "-4" | "--ipv4":
                family = socket.AF_INET
            case "-6" | "--ipv6":
                family = socket.AF_INET6
            case "-v" | "--verbose":
                verbose = True
    return Options(operands[0], tuple(operands[1:]), udp, read_delay(delay), family, verbose)


def read_delay(text: str) -> float:
    """Milliseconds as text → seconds. Like knock 0.8, reads what digits there are at the start."""
    number = _NUMBER.match(text)
    milliseconds = int(number[1]) if number else 0
    if not 0 <= milliseconds <= MAX_DELAY_MS:
        raise ClientError(f"the delay must be 0 to {MAX_DELAY_MS} milliseconds, not {text!r}")
    if number is None or number.end() != len(text):
        warn(f"warning: delay {text!r} is read as {milliseconds} milliseconds")
    return milliseconds / 1000


def read_hits(text: str, udp: bool) -> list[Hit]:
    """One argument → its hits; in one with commas are several, as in knockd.conf's sequences."""
    return [read_hit(part.strip() if "," in text else part, udp) for part in text.split(",")]


def read_hit(text: str, udp: bool) -> Hit:
    """``PORT[:PROTO]`` → a hit. Like knock 0.8, any PROTO but exactly ``udp`` means TCP.

    Also understood is ``PORT/PROTO``, as ports are written elsewhere, with no PROTO but these two.
    """
    label, colon, name = text.partition(":")
    if not colon and "/" in text:
        label, colon, name = text.partition("/")
        if name not in ("tcp", "udp"):
            raise ClientError(f"{text!r}: no protocol {name!r}; write {label}:tcp or {label}:udp")
    protocol = Protocol.UDP if udp or name == "udp" else Protocol.TCP
    if colon and name not in ("tcp", "udp"):
        warn(f"warning: {text!r}: no protocol {name!r}, taken for {protocol.name.lower()}")
    return Hit(protocol, resolve_port(label, protocol), label)


def resolve_port(text: str, protocol: Protocol) -> int:
    """A port's number, or its name in services(5); raises ClientError if it is neither."""
    if not text:
        raise ClientError("a port is missing: nothing between two commas, or before the ':'")
    number = _NUMBER.fullmatch(text)
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


def resolve_host(host: str, family: socket.AddressFamily) -> Address:
    """The first address of ``host`` in the system's order of preference (RFC 6724)."""
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]  # as an IPv6 address stands in a URL
    try:
        # Bytes, since Python would rewrite str as an international domain name.
        found = socket.getaddrinfo(os.fsencode(host), None, family)
    except socket.gaierror as error:
        only = {
            socket.AF_INET: "; -4 wants an IPv4 address",
            socket.AF_INET6: "; -6 wants an IPv6 one",
        }
        raise ClientError(
            f"failed to resolve host {host!r}: {error.strerror}{only.get(family, '')}"
        ) from error
    kind, _, _, _, address = found[0]
    return Address(kind, str(address[0]), *(int(field) for field in address[2:]))


def socket_kind(protocol: Protocol) -> socket.SocketKind:
    """The type of socket that speaks ``protocol``."""
    return socket.SOCK_DGRAM if protocol is Protocol.UDP else socket.SOCK_STREAM


def send_hit(address: Address, hit: Hit) -> None:
    """Send one packet from a socket of its own; raises OSError if it could not leave."""
    target = address.at_port(hit.port)
    with socket.socket(address.family, socket_kind(hit.protocol)) as sender:
        if hit.protocol is Protocol.UDP:
            sender.sendto(UDP_PAYLOAD, target)
            return
        sender.setblocking(False)
        code = sender.connect_ex(target)
        if code not in _SENT:
            raise OSError(code, os.strerror(code))


def knock(options: Options) -> bool:
    """Do what ``options`` say; true if every hit was sent. Raises ClientError if nothing can be.

    Pauses after the last hit as well, as knock 0.8 does: ``knock -d 500 … && ssh …`` counts on it.
    """
    hits = [hit for text in options.ports for hit in read_hits(text, options.udp)]
    address = resolve_host(options.host, options.family)
    complete = True
    for hit in hits:
        protocol = hit.protocol.name.lower()
        if options.verbose:
            say(f"hitting {protocol} {address}:{hit.label}")
        try:
            send_hit(address, hit)
        except OSError as error:
            complete = False
            warn(f"{protocol} {address}:{hit.label} not sent: {error.strerror}")
        time.sleep(options.delay)
    return complete


def say(text: str) -> None:
    """Print on standard output, at once. That nobody reads it is no reason to knock no further."""
    try:
        print(text, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def warn(text: str) -> None:
    """Print on standard error, as this program."""
    print(f"knock: {text}", file=sys.stderr)


def run(argv: list[str]) -> int:
    """Arguments → exit status; raises ClientError. Whatever ends in the usage text ends in 1."""
    try:
        given, operands = getopt.gnu_getopt(argv, SHORT_OPTIONS, LONG_OPTIONS)
    except getopt.GetoptError as error:
        warn(error.msg)
        say(USAGE)
        return 1
    for name, _ in given:
        if name in ("-V", "--version"):
            say(VERSION)
            return 0
        if name in ("-h", "--help"):
            say(USAGE)
            return 1
    if len(operands) < 2:
        say(USAGE)
        return 1
    return 0 if knock(read_options(given, operands)) else 1


def main(argv: list[str] | None = None) -> int:
    """Run ``knock``; returns 0 if every hit was sent, 1 if not, ``INTERRUPTED`` if it was."""
    try:
        return run(sys.argv[1:] if argv is None else argv)
    except ClientError as error:
        warn(str(error))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
