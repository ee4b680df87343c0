"""The program that a command names: which tables it changes, and its words for looking first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from os.path import realpath
from pathlib import Path

from pyknockd.firewall import iptables
from pyknockd.firewall.names import base_name, family
from pyknockd.firewall.rule import Family, Operation
from pyknockd.system.process import CommandError, output
from pyknockd.system.trust import find_program

# What is behind all of iptables' names, once links and alternatives are followed.
_BEHIND = {"xtables-legacy-multi": "legacy", "xtables-nft-multi": "nf_tables"}
_VERSION = re.compile(r" v1\.8\.(\d+) \(nf_tables\)")
# The releases whose rules are read and written here as they are by themselves: in those before, a
# port is a match of iptables' own; in those after, who knows. test_nft_forms.py has been run on them.
_KNOWN = range(9, 14)
_INSERTING = ("-I", "--insert")
_ADDING = ("-A", "--append", *_INSERTING)
_DELETING = ("-D", "--delete")


class Kind(Enum):
    """Which tables a program changes."""

    LEGACY = "legacy"
    NF_TABLES = "nf_tables"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Program:
    """``why_not``: what forbids to do its work in process, if anything."""

    kind: Kind
    family: Family
    why_not: str = ""


def find(name: str) -> Program:
    """What the command's first word leads to. Runs `NAME -V` for nf_tables' iptables."""
    found, path = locate(name), find_program(name)
    if found.kind is Kind.NF_TABLES and path is not None:
        return replace(found, why_not=_unknown_release(path))
    return found


def locate(name: str) -> Program:
    """What the command's first word leads to, as far as can be told without running it."""
    path = find_program(name)
    if path is None:
        return Program(Kind.UNKNOWN, family(name), "no such program")
    behind = _BEHIND.get(base_name(realpath(path)))
    if behind is None:
        return Program(Kind.UNKNOWN, family(name), f"it leads to {realpath(path)}")
    return Program(Kind(behind), family(name))


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
            if tables and "\n-A " in output([f"{name}tables-legacy-save"]):
                return True
        except (OSError, CommandError):
            pass
    return False


def _unknown_release(path: str) -> str:
    try:
        said = output([path, "-V"])
    except CommandError as error:
        return str(error)
    found = _VERSION.search(said)
    if found is None or int(found[1]) not in _KNOWN:
        return f"not known to be alike: {said.strip()}"
    return ""
