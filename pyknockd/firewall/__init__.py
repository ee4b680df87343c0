"""Which firewall an iptables command changes, and the change itself where it can be made in process."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from os.path import realpath
from shutil import which

from pyknockd import syntax
from pyknockd.firewall import legacy
from pyknockd.rule import Family

# The one program behind all of iptables' names, once links and alternatives are followed.
_LEGACY_PROGRAM = "xtables-legacy-multi"
_FAMILIES = {
    "iptables": Family.IPV4,
    "iptables-legacy": Family.IPV4,
    "ip6tables": Family.IPV6,
    "ip6tables-legacy": Family.IPV6,
}
_NAMES = frozenset(_FAMILIES) | {"iptables-nft", "ip6tables-nft"}


class Outcome(Enum):
    """What came of an attempt to make a change in process."""

    DONE = "done"
    BUSY = "busy"
    RUN_THE_PROGRAM = "run the program"


@dataclass(frozen=True, slots=True)
class Applied:
    """An outcome, and for the log what stood in the way, if anything did."""

    outcome: Outcome
    reason: str = ""


def is_iptables(words: list[str]) -> bool:
    """Whether ``words`` call iptables or ip6tables, under any of their names."""
    return bool(words) and words[0].rpartition("/")[2] in _NAMES


def apply(words: list[str]) -> Applied:
    """Make the change that the iptables command ``words`` asks for, if that is certain to be exact.

    ``BUSY``: another program holds iptables' lock, try again soon. ``RUN_THE_PROGRAM``: nothing was
    changed; the program named is the one to do it.
    """
    program = which(words[0])
    if program is None or realpath(program).rpartition("/")[2] != _LEGACY_PROGRAM:
        return Applied(Outcome.RUN_THE_PROGRAM)
    family = _FAMILIES.get(words[0].rpartition("/")[2])
    change = syntax.parse(words[1:])
    if family is None or change is None:
        return Applied(Outcome.RUN_THE_PROGRAM)
    try:
        return Applied(Outcome.DONE if legacy.apply(change, family) else Outcome.BUSY)
    except legacy.LegacyError as error:
        return Applied(Outcome.RUN_THE_PROGRAM, str(error))
