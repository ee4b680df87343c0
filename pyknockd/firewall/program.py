"""The program that a command names: which tables it changes, and its words for looking first."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from os.path import realpath
from pathlib import Path

from pyknockd.firewall import iptables
from pyknockd.firewall.names import base_name, family
from pyknockd.firewall.rule import Family, Operation
from pyknockd.system.process import CommandError, output
from pyknockd.system.trust import find_program


class Kind(Enum):
    """Which tables a program changes."""

    LEGACY = "legacy"
    NF_TABLES = "nf_tables"
    UNKNOWN = "unknown"


# What is behind all of iptables' names, once links and alternatives are followed.
_BEHIND = {"xtables-legacy-multi": Kind.LEGACY, "xtables-nft-multi": Kind.NF_TABLES}
_VERSION = re.compile(rb"(?<![\d.])1\.8\.(\d+) \(nf_tables\)")
_MOST_BYTES = 4 << 20
# The releases whose rules are read and written here as they are by themselves: in those before, a
# port is a match of iptables' own; in those after, who knows. test_nft_forms.py has been run on them.
_KNOWN = range(9, 14)
_PATIENCE_SECONDS = 1.0  # to wait longer for a program would keep the doors from closing in time
_INSERTING = ("-I", "--insert")
_ADDING = ("-A", "--append", *_INSERTING)
_DELETING = ("-D", "--delete")


@dataclass(frozen=True, slots=True)
class Program:
    """``why_not``: what forbids to do its work in process, if anything."""

    kind: Kind
    family: Family
    why_not: str = ""


def find(name: str) -> Program:
    """What the command's first word leads to. Runs nothing, so that nothing is waited for."""
    path = find_program(name)
    if path is None:
        return Program(Kind.UNKNOWN, family(name), "no such program")
    real = realpath(path)
    behind = _BEHIND.get(base_name(real))
    if behind is None:
        return Program(Kind.UNKNOWN, family(name), f"it leads to {real}")
    known = behind is Kind.LEGACY or _is_known_release(real)
    return Program(behind, family(name), "" if known else "its release is not known to be alike")


def adds(words: Sequence[str]) -> bool:
    """Whether an iptables command is sure to add a rule."""
    return _command(words) in _ADDING


def deletes(words: Sequence[str]) -> bool:
    """Whether an iptables command is sure to delete a rule."""
    return _command(words) in _DELETING


def check_words(words: Sequence[str]) -> tuple[str, ...]:
    """The command that looks for the rule that ``words`` add or delete; none if unsure."""
    return _respelled(words, "-C")


def delete_words(words: Sequence[str]) -> tuple[str, ...]:
    """The command that deletes the rule that ``words`` add or delete; none if unsure."""
    return _respelled(words, "-D")


def _command(words: Sequence[str]) -> str:
    at = iptables.command_at(words)
    return "" if at is None else words[at]


def _respelled(words: Sequence[str], command: str) -> tuple[str, ...]:
    """``words`` with another command for the same rule, which needs no number any more.

    They need not be understood: `-A CHAIN`, `-I CHAIN [N]` or `-D CHAIN` becomes ``command CHAIN``.
    """
    at = iptables.command_at(words)
    if at is None or len(words) < at + 2 or words[at] not in (*_ADDING, *_DELETING):
        return ()
    rest = list(words[at + 2 :])
    if rest and rest[0].isdigit():
        if words[at] not in _INSERTING:
            return ()
        del rest[0]
    return (*words[:at], command, words[at + 1], *rest)


def deletes_by_number(words: Sequence[str]) -> bool:
    """Whether an iptables command deletes whatever rule has a certain number when it is run."""
    rule = iptables.parse(words[1:])
    return rule is not None and rule.operation is Operation.DELETE and rule.position > 0


def legacy_rules() -> bool:
    """Whether the legacy tables, as far as there are any, hold rules. Looking creates none."""
    for name in ("ip", "ip6"):
        try:
            tables = Path(f"/proc/thread-self/net/{name}_tables_names").read_text()
            if tables and "\n-A " in output([f"{name}tables-legacy-save"], _PATIENCE_SECONDS):
                return True
        except (OSError, CommandError):
            pass
    return False


def _is_known_release(path: str) -> bool:
    """Whether the program is of one of the releases, by the text that it has for `-V`."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = set(_VERSION.findall(file.read(_MOST_BYTES)))
    except OSError:
        return False
    return len(found) == 1 and int(found.pop()) in _KNOWN
