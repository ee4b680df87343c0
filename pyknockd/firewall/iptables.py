"""The words of an iptables command as a ``Rule``, and a ``Rule`` as words.

What is not understood completely is not understood at all: ``parse`` gives None for what only
iptables itself should read, and the caller hands it on. Source of the grammar: iptables(8) and
iptables-extensions(8), version 1.8.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pyknockd.firewall.extensions import IMPLICIT_MATCHES, MATCH_NAMES, MATCHES, TARGETS
from pyknockd.firewall.rule import Extension, Operation, Option, Rule

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

# Chains whose packets have no such interface: iptables refuses the condition there.
_WITHOUT = {
    "in-interface": ("OUTPUT", "POSTROUTING"),
    "out-interface": ("INPUT", "PREROUTING"),
}
_SHORT = {
    long.removeprefix("--"): short for short, long in _LONG.items() if not short.startswith("--")
}
_LETTERS = {Operation.APPEND: "-A", Operation.INSERT: "-I", Operation.DELETE: "-D"}
_COMMAND = re.compile(
    r"-[ACDEFILNPRSXZ].*|--(?:append|check|delete|insert|replace|list|flush).*", re.DOTALL
)
# How many values follow each option, by all of its names.
_VALUES = {
    **{
        f"--{name}": count
        for options in (*MATCHES.values(), *TARGETS.values())
        for name, count in options.items()
    },
    **dict.fromkeys((*_BASICS, "--match", "--jump", "--goto", "--table"), 1),
    **dict.fromkeys((short for short in _LONG), 1),
}


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
        if value and _LONG.get(name, name) in _BASICS:
            raise _Unknown  # iptables takes the whole word for the value
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
        owners = [(options, MATCHES[match]) for match, options in self.matches]
        if self.target in TARGETS:
            owners.append((self.target_options, TARGETS[self.target]))
        found = [(options, known[name]) for options, known in owners if name in known]
        if len(found) == 1:
            return found[0]
        protocol = self.basics.get("protocol")
        if found or protocol is None or protocol.negated:
            raise _Unknown
        match = IMPLICIT_MATCHES.get(protocol.values[0], "")
        loaded = any(match == other for other, _ in self.matches)
        if not match or loaded or name not in MATCHES[match]:
            raise _Unknown
        options: list[Option] = []
        self.matches.append((match, options))
        return options, MATCHES[match][name]

    def rule(self) -> Rule:
        if self.operation is None:
            raise _Unknown
        by_number = self.operation is Operation.DELETE and self.position
        if by_number and (self.basics or self.matches or self.target):
            raise _Unknown
        if any(self.chain in _WITHOUT.get(name, ()) for name in self.basics):
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


def command_at(words: Sequence[str]) -> int | None:
    """Where among ``words`` the command stands, -A or another; None if that is not certain.

    The rest need not be understood. What is a value of an option that is known is no command.
    """
    found, at = [], 0
    while at < len(words):
        if _COMMAND.fullmatch(words[at]):
            found.append(at)
        at += 1 + _VALUES.get(words[at], 0)
    return found[0] if len(found) == 1 else None


def words(rule: Rule) -> list[str]:
    """The words behind the program's name: what ``parse`` reads as ``rule`` again."""
    found = [] if rule.table == "filter" else ["-t", rule.table]
    found += [_LETTERS[rule.operation], rule.chain]
    if rule.position:
        found.append(str(rule.position))
    for option in rule.basics:
        found += _option_words(option, _SHORT[option.name])
    for match in rule.matches:
        found += ["-m", match.name]
        for option in match.options:
            found += _option_words(option, f"--{option.name}")
    if rule.target is not None:
        found += ["-g" if rule.goto else "-j", rule.target.name]
        for option in rule.target.options:
            found += _option_words(option, f"--{option.name}")
    return found


def _option_words(option: Option, name: str) -> list[str]:
    return [*(["!"] if option.negated else []), name, *option.values]


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
    if not number.isascii() or not number.isdigit():
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
        match = MATCH_NAMES.get(name := reader.value(), name)
        if match not in MATCHES or any(match == other for other, _ in draft.matches):
            raise _Unknown
        draft.matches.append((match, []))
    elif name in ("--jump", "--goto") and not draft.target:
        draft.target, draft.goto = reader.value(), name == "--goto"
    else:
        raise _Unknown
