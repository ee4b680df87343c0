"""The program that a command names: which tables it changes, and its words for looking first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from os.path import realpath
from pathlib import Path

from pyknockd.firewall import iptables
from pyknockd.firewall.rule import Family, Operation
from pyknockd.system.process import CommandError, output
from pyknockd.system.trust import find_program

# What is behind all of iptables' names, once links and alternatives are followed.
_BEHIND = {"xtables-legacy-multi": "legacy", "xtables-nft-multi": "nf_tables"}
_FAMILIES = {"iptables": Family.IPV4, "ip6tables": Family.IPV6}
_NAMES = {
    f"{name}{kind}": family
    for name, family in _FAMILIES.items()
    for kind in ("", "-legacy", "-nft")
}
_VERSION = re.compile(r" v1\.8\.(\d+) \(nf_tables\)")
# The releases whose rules are read and written here as they are by themselves: in those before, a
# port is a match of iptables' own; in those after, who knows. test_nft_forms.py has been run on them.
_KNOWN = range(9, 14)
_ADDING = re.compile(r"-[AI]|--append|--insert")
_OTHER = re.compile(r"(?:-[ACDEFILNPRSXZ]|--(?:append|check|delete|insert|replace|list|flush)).*")


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


def is_iptables(words: Sequence[str]) -> bool:
    """Whether ``words`` call iptables or ip6tables, under any of their names."""
    return bool(words) and _base(words[0]) in _NAMES


def family(name: str) -> Family:
    """The family whose rules the program changes."""
    return _NAMES[_base(name)]


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
    behind = _BEHIND.get(_base(realpath(path)))
    if behind is None:
        return Program(Kind.UNKNOWN, family(name), f"it leads to {realpath(path)}")
    return Program(Kind(behind), family(name))


def check_words(words: Sequence[str]) -> tuple[str, ...]:
    """The command that looks for the rule that ``words`` add; none if they are not sure to add one.

    It changes nothing, so it need not be understood: `-A CHAIN` or `-I CHAIN [N]` becomes `-C CHAIN`.
    """
    return _respelled(words, "-C")


def delete_words(words: Sequence[str]) -> tuple[str, ...]:
    """The command that deletes the rule that ``words`` add; none if they are not sure to add one."""
    return _respelled(words, "-D")


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


def _respelled(words: Sequence[str], command: str) -> tuple[str, ...]:
    found = [at for at, word in enumerate(words) if _OTHER.fullmatch(word)]
    if len(found) != 1 or not _ADDING.fullmatch(words[found[0]]) or len(words) < found[0] + 2:
        return ()
    at = found[0]
    rest = list(words[at + 2 :])
    if rest and words[at] in ("-I", "--insert") and rest[0].isdigit():
        del rest[0]
    return (*words[:at], command, words[at + 1], *rest)


def _unknown_release(path: str) -> str:
    try:
        said = output([path, "-V"])
    except CommandError as error:
        return str(error)
    found = _VERSION.search(said)
    if found is None or int(found[1]) not in _KNOWN:
        return f"not known to be alike: {said.strip()}"
    return ""


def _base(path: str) -> str:
    return path.rpartition("/")[2]
