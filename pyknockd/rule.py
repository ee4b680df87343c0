"""The words of an iptables command as a ``Rule``.

What is not understood completely is not understood at all: ``parse`` gives None for what only
iptables itself should read, and the caller hands it on. Source of the grammar: iptables(8) and
iptables-extensions(8), version 1.8.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network, IPv6Network


class Family(Enum):
    """The address family whose tables a command changes; the value is its IP version."""

    IPV4 = 4
    IPV6 = 6


class Operation(Enum):
    """What is to be done with a rule."""

    APPEND = "append"
    INSERT = "insert"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Option:
    """``[!] --name value…``; ``name`` is the long name without dashes."""

    name: str
    values: tuple[str, ...] = ()
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Extension:
    """A match or a target and its options, in the order given."""

    name: str
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One change of one chain.

    ``basics`` are the conditions that need no extension: protocol, source, destination,
    in-interface, out-interface. ``position`` counts from 1 and is 0 where none was given.
    """

    table: str
    operation: Operation
    chain: str
    position: int = 0
    basics: tuple[Option, ...] = ()
    matches: tuple[Extension, ...] = ()
    target: Extension | None = None
    goto: bool = False


_V4_ADDRESS = re.compile(r"(\d{1,3})(?:\.\d{1,3}){3}")
_V6_ADDRESS = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:.]*")
_COMMANDS = {
    "-A": Operation.APPEND,
    "-I": Operation.INSERT,
    "-D": Operation.DELETE,
    "--append": Operation.APPEND,
    "--insert": Operation.INSERT,
    "--delete": Operation.DELETE,
}
_LONG = {
    "-p": "--protocol",
    "-s": "--source",
    "-d": "--destination",
    "-i": "--in-interface",
    "-o": "--out-interface",
    "-m": "--match",
    "-j": "--jump",
    "-g": "--goto",
    "-t": "--table",
    "--proto": "--protocol",
    "--src": "--source",
    "--dst": "--destination",
}
_PLAIN = frozenset(
    ("--match", "--jump", "--goto", "--table", "--wait", "--wait-interval", "--numeric")
)
_BASICS = frozenset(
    ("--protocol", "--source", "--destination", "--in-interface", "--out-interface")
)

_PORTS = {"source-port": 1, "sport": 1, "destination-port": 1, "dport": 1}
# match → option → number of values
_MATCHES: dict[str, dict[str, int]] = {
    "tcp": {**_PORTS, "tcp-flags": 2, "syn": 0, "tcp-option": 1},
    "udp": _PORTS,
    "multiport": {"source-ports": 1, "sports": 1, "destination-ports": 1, "dports": 1, "ports": 1},
    "conntrack": {"ctstate": 1},
    "state": {"state": 1},
    "comment": {"comment": 1},
    "limit": {"limit": 1, "limit-burst": 1},
    "mark": {"mark": 1},
    "iprange": {"src-range": 1, "dst-range": 1},
    "mac": {"mac-source": 1},
    "addrtype": {"src-type": 1, "dst-type": 1},
}
_IMPLICIT_MATCHES = frozenset(("tcp", "udp"))
_TARGETS: dict[str, dict[str, int]] = {
    "ACCEPT": {},
    "DROP": {},
    "RETURN": {},
    "REJECT": {"reject-with": 1},
    "LOG": {"log-prefix": 1, "log-level": 1},
}


def network(text: str, family: Family) -> IPv4Network | IPv6Network | None:
    """An address and its mask as iptables reads them, host bits cleared; None for anything else."""
    address, slash, mask = text.partition("/")
    if slash and not re.fullmatch(r"\d{1,3}" if family is Family.IPV6 else r"\d{1,2}|[\d.]+", mask):
        return None
    try:
        if family is Family.IPV6:
            if not _V6_ADDRESS.fullmatch(address):
                return None
            return IPv6Network(text, strict=False)
        if not _V4_ADDRESS.fullmatch(address):
            return None
        found = IPv4Network(text, strict=False)
    except ValueError:
        return None
    # What ipaddress takes for an inverted mask is another mask to iptables.
    return found if "." not in mask or str(found.netmask) == mask else None


class _Unknown(Exception):
    """The words say something that this model does not know."""


class _Reader:
    """Reads the words of one command from left to right, as getopt_long(3) does."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._words = list(reversed(arguments))

    def __bool__(self) -> bool:
        return bool(self._words)

    def value(self) -> str:
        """The next word, as a value."""
        if not self._words or self._words[-1] == "!":
            raise _Unknown
        return self._words.pop()

    def optional_value(self) -> str | None:
        """The next word if it can only be a value."""
        if self._words and not self._words[-1].startswith(("-", "!")):
            return self._words.pop()
        return None

    def option(self) -> tuple[str, bool]:
        """The next option's name, and whether ``!`` stands before it.

        A value that is attached to the name becomes the next word.
        """
        negated = self._words[-1] == "!"
        if negated:
            self._words.pop()
        word = self.value()
        if not word.startswith("-") or word in ("-", "--"):
            raise _Unknown
        if word.startswith("--"):
            name, attached, value = word.partition("=")
        else:
            name, attached, value = word[:2], "", word[2:]
        if value:
            self._words.append(value)
        elif attached:
            raise _Unknown
        return _LONG.get(name, name), negated


@dataclass(slots=True)
class _Draft:
    """A rule while its words are being read: ``Rule``, but each part can still grow."""

    table: str = "filter"
    operation: Operation | None = None
    chain: str = ""
    position: int = 0
    goto: bool = False
    target: str = ""
    target_options: list[Option] = field(default_factory=list)
    basics: dict[str, Option] = field(default_factory=dict)
    matches: list[tuple[str, list[Option]]] = field(default_factory=list)

    def option_owner(self, name: str) -> tuple[list[Option], int]:
        """Where the extension option ``name`` belongs, and how many values it takes.

        Like iptables, `-p tcp` alone loads no match: the first option that only it can have does.
        """
        owners = [(options, _MATCHES[match]) for match, options in self.matches]
        if self.target in _TARGETS:
            owners.append((self.target_options, _TARGETS[self.target]))
        found = [(options, known[name]) for options, known in owners if name in known]
        if len(found) == 1:
            return found[0]
        protocol = self.basics.get("protocol")
        if found or protocol is None or protocol.negated:
            raise _Unknown
        match = protocol.values[0]
        loaded = any(match == other for other, _ in self.matches)
        if match not in _IMPLICIT_MATCHES or loaded or name not in _MATCHES[match]:
            raise _Unknown
        options: list[Option] = []
        self.matches.append((match, options))
        return options, _MATCHES[match][name]

    def rule(self) -> Rule:
        if self.operation is None:
            raise _Unknown
        target = Extension(self.target, tuple(self.target_options)) if self.target else None
        matches = tuple(Extension(name, tuple(options)) for name, options in self.matches)
        return Rule(
            self.table,
            self.operation,
            self.chain,
            self.position,
            tuple(self.basics.values()),
            matches,
            target,
            self.goto,
        )


def parse(arguments: Sequence[str]) -> Rule | None:
    """The change that ``iptables ARGUMENTS…`` asks for, or None where iptables itself must read it."""
    reader, draft = _Reader(arguments), _Draft()
    try:
        while reader:
            _read_option(reader, draft)
        return draft.rule()
    except _Unknown:
        return None


def _read_option(reader: _Reader, draft: _Draft) -> None:
    name, negated = reader.option()
    if name in _BASICS:
        _read_basic(reader, draft, name.removeprefix("--"), negated)
    elif name.startswith("--") and name not in _PLAIN and name not in _COMMANDS:
        options, count = draft.option_owner(name.removeprefix("--"))
        values = tuple(reader.value() for _ in range(count))
        if any(option.name == name.removeprefix("--") for option in options):
            raise _Unknown
        options.append(Option(name.removeprefix("--"), values, negated))
    elif negated:
        raise _Unknown
    elif name in _COMMANDS:
        _read_command(reader, draft, _COMMANDS[name])
    else:
        _read_plain(reader, draft, name)


def _read_basic(reader: _Reader, draft: _Draft, name: str, negated: bool) -> None:
    value = reader.value()
    if name in draft.basics:
        raise _Unknown
    if name == "protocol":
        value = value.lower()
    draft.basics[name] = Option(name, (value,), negated)


def _read_command(reader: _Reader, draft: _Draft, operation: Operation) -> None:
    if draft.operation is not None:
        raise _Unknown
    draft.operation, draft.chain = operation, reader.value()
    if operation is Operation.APPEND:
        return
    number = reader.optional_value()
    if number is None:
        return
    # `-D CHAIN NUMBER` names no rule, only a place.
    if operation is Operation.DELETE or not number.isascii() or not number.isdigit():
        raise _Unknown
    draft.position = int(number)
    if draft.position == 0:
        raise _Unknown


def _read_plain(reader: _Reader, draft: _Draft, name: str) -> None:
    if name in ("-w", "--wait", "-W", "--wait-interval"):
        reader.optional_value()
    elif name in ("-n", "--numeric"):
        pass
    elif name == "--table":
        draft.table = reader.value()
    elif name == "--match":
        match = reader.value()
        if match not in _MATCHES or any(match == other for other, _ in draft.matches):
            raise _Unknown
        draft.matches.append((match, []))
    elif name in ("--jump", "--goto") and not draft.target:
        draft.target, draft.goto = reader.value(), name == "--goto"
    else:
        raise _Unknown
