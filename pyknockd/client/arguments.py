"""The command line → ``Options``, and ports as typed → what is to be sent. Pure but for getopt's
look at POSIXLY_CORRECT."""

from __future__ import annotations

import getopt
from dataclasses import dataclass, replace

from pyknockd import __version__
from pyknockd.client.errands import ClientError, Errand, Family, Wait, Way
from pyknockd.model import Protocol
from pyknockd.model.notation import NUMBER

USAGE = """\
usage: knock [options] HOST PORT[:PROTO] [PORT[:PROTO]] ...
       knock [options] NAME              a host of ~/.config/knock/hosts.yaml
       knock [options] @GROUP [NAME] ... several of them, side by side

Sends one packet to each PORT of HOST, one after the other.

  -u, --udp          send every hit over UDP, whatever its PROTO says
  -d, --delay MS     pause for MS milliseconds after each hit
  -4, --ipv4         knock at an IPv4 address of HOST
  -6, --ipv6         knock at an IPv6 address of HOST
      --both         knock at one of each
  -I IFACE           send from this interface
  -s SOURCE          send from this address
      --connect      send TCP hits as whole connections, reset at once
      --wait PORT[,SECONDS]  then try PORT until it answers
      --retries N    knock again up to N times if it does not (3)
  -W HOST:PORT       then connect there, and carry that on standard input and output
      --fdpass       hand the connection over instead, as ssh's ProxyUseFdpass wants it
      --close        send the sequence that closes NAME
      --list         print the names there are and stop
      --explain      say what would be sent, and send nothing
      --json         print what came of it for programs
  -v, --verbose      tell of each hit on standard output
  -V, --version      print the version and stop
  -h, --help         print this text and stop

PORT is a number or a service name, PROTO is tcp (if none is given) or udp. Ports stand apart by
blanks or, as in knockd.conf, by commas.
For example:  knock gate.example.org 7000 8000:udp 9000:tcp"""
VERSION = f"knock 0.8\npyknockd {__version__}"

SHORT_OPTIONS = "ud:46vVhI:s:W:"
LONG_OPTIONS = [
    *("udp", "delay=", "ipv4", "ipv6", "verbose", "version", "help", "both", "connect", "wait="),
    *("retries=", "fdpass", "close", "list", "explain", "json"),
]
MAX_DELAY_MS = 2**31 - 1
MAX_RETRIES = 1000
MAX_WAIT = 86_400
_FAMILIES = {"-4": Family.V4, "-6": Family.V6, "--ipv4": Family.V4, "--ipv6": Family.V6}


@dataclass(frozen=True, slots=True)
class Options:
    """The command line. What is None was not given; ``delay`` is in seconds."""

    operands: tuple[str, ...] = ()
    udp: bool = False
    delay: float | None = None
    family: Family | None = None
    way: Way = Way()
    wait: Wait | None = None
    carried: bool = False
    fdpass: bool = False
    retries: int | None = None
    close: bool = False
    listed: bool = False
    explain: bool = False
    json: bool = False
    verbose: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def quiet(self) -> bool:
        """Standard output is for something else."""
        return self.carried or self.json

    def errand(self, base: Errand) -> Errand:
        """``base`` with what the command line says otherwise."""
        way = Way(
            self.way.interface or base.way.interface,
            self.way.source or base.way.source,
            self.way.connect or base.way.connect,
        )
        return replace(
            base,
            udp=self.udp or base.udp,
            delay=base.delay if self.delay is None else self.delay,
            family=self.family or base.family,
            way=way,
            wait=self.wait or base.wait,
            retries=base.retries if self.retries is None else self.retries,
        )


def read_options(given: list[tuple[str, str]], operands: list[str]) -> Options:
    """What getopt found → a record; raises ClientError. Of an option given twice the last holds."""
    options = Options(tuple(operands))
    delay: str | None = None
    seconds: float | None = None
    for name, value in given:
        if name in ("-d", "--delay"):
            delay = value
        elif name in _FAMILIES:
            options = replace(options, family=_FAMILIES[name])
        elif name == "-W":
            options = replace(options, wait=read_target(value), carried=True)
        elif name == "--wait" and options.carried and options.wait:
            seconds = read_wait(value).seconds
        elif name == "--wait":
            options = replace(options, wait=read_wait(value))
        else:
            options = _read_other(options, name, value)
    if options.fdpass and not options.carried:
        raise ClientError("--fdpass goes with -W HOST:PORT")
    if seconds is not None and options.wait:
        options = replace(options, wait=replace(options.wait, seconds=seconds))
    if delay is None:
        return options
    read, remark = read_delay(delay)
    return replace(options, delay=read, remarks=(remark,) if remark else ())


def _read_other(options: Options, name: str, value: str) -> Options:
    match name:
        case "-u" | "--udp":
            return replace(options, udp=True)
        case "--both":
            return replace(options, family=Family.BOTH)
        case "-I":
            return replace(options, way=replace(options.way, interface=value))
        case "-s":
            return replace(options, way=replace(options.way, source=value))
        case "--connect":
            return replace(options, way=replace(options.way, connect=True))
        case "--retries":
            return replace(options, retries=_whole(value, "--retries", MAX_RETRIES))
        case "--fdpass":
            return replace(options, fdpass=True)
        case "--close":
            return replace(options, close=True)
        case "--list":
            return replace(options, listed=True)
        case "--explain":
            return replace(options, explain=True)
        case "--json":
            return replace(options, json=True)
    return replace(options, verbose=True)


def read_wait(text: str) -> Wait:
    """``PORT[,SECONDS]``; raises ClientError."""
    port, comma, seconds = (part.strip() for part in text.partition(","))
    if not port or ":" in port:
        raise ClientError(f"--wait wants PORT or PORT,SECONDS, such as 22,10; not {text!r}")
    return Wait(port, _seconds(seconds)) if comma else Wait(port)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= MAX_WAIT:
        raise ClientError(f"to wait for {text!r} seconds: write a number up to {MAX_WAIT}")
    return seconds


def read_target(text: str) -> Wait:
    """``HOST:PORT`` or ``[ADDRESS]:PORT`` of -W; raises ClientError."""
    host, _, port = text.rpartition(":")
    if not host or not port:
        raise ClientError(f"-W wants HOST:PORT, such as %h:%p in ssh's ProxyCommand; not {text!r}")
    return Wait(port, host=host)


def _whole(text: str, name: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:9]) <= most):
        raise ClientError(f"{name} wants a number from 0 to {most}, not {text!r}")
    return int(text)


def read_delay(text: str) -> tuple[float, str]:
    """Milliseconds as text → seconds, and a remark. As 0.8 does, takes the digits at the start."""
    number = NUMBER.match(text)
    milliseconds = int(number[1]) if number else 0
    if not 0 <= milliseconds <= MAX_DELAY_MS:
        raise ClientError(f"the delay must be 0 to {MAX_DELAY_MS} milliseconds, not {text!r}")
    remark = ""
    if number is None or number.end() != len(text):
        remark = f"warning: delay {text!r} is read as {milliseconds} milliseconds"
    return milliseconds / 1000, remark


@dataclass(frozen=True, slots=True)
class Typed:
    """A port as typed, and what it is to be sent over. ``remark``: what is to be said of it."""

    label: str
    protocol: Protocol
    remark: str = ""


def read_ports(texts: tuple[str, ...], udp: bool) -> list[Typed]:
    """Arguments → ports; in one with commas are several, as in knockd.conf's sequences."""
    parts = [part.strip() if "," in text else part for text in texts for part in text.split(",")]
    return [read_port(part, udp) for part in parts]


def read_port(text: str, udp: bool) -> Typed:
    """``PORT[:PROTO]``. Like knock 0.8, any PROTO but exactly ``udp`` means TCP.

    Also understood is ``PORT/PROTO``, as ports are written elsewhere, with no PROTO but these two.
    """
    label, colon, name = text.partition(":")
    if not colon and "/" in text:
        label, colon, name = text.partition("/")
        if name not in ("tcp", "udp"):
            raise ClientError(f"{text!r}: no protocol {name!r}; write {label}:tcp or {label}:udp")
    protocol = Protocol.UDP if udp or name == "udp" else Protocol.TCP
    remark = ""
    if colon and name not in ("tcp", "udp"):
        taken = protocol.name.lower()
        remark = f"warning: {text!r}: no protocol {name!r}, taken for {taken}"
    return Typed(label, protocol, remark)


def split(argv: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Arguments → options and operands. Raises getopt.GetoptError."""
    return getopt.gnu_getopt(argv, SHORT_OPTIONS, LONG_OPTIONS)
