"""Rules that stay in the kernel while the programs change: `python3 -m tests.support.upgrade PART`.

`write` has iptables write them, `use` adds each again in process, which must change nothing, and
deletes it; they run in the same network namespace, with the iptables of different releases.
"""

from __future__ import annotations

import shlex
import sys

from pyknockd.firewall import Firewall, Outcome
from pyknockd.firewall.rule import Family
from pyknockd.system.process import output
from tests.support.iptables_rules import CHAIN, PROGRAMS, plain_rules, unequal


def write(family: Family) -> None:
    program = PROGRAMS[family]
    output([program, "-N", "guarded"])
    for words in unequal(plain_rules(family), family):
        output([program, "-A", CHAIN, *shlex.split(words)])


def use(family: Family) -> None:
    firewall, program = Firewall(), PROGRAMS[family]
    rules = unequal(plain_rules(family), family)
    for words in rules:
        added = firewall.apply([program, "-A", CHAIN, *shlex.split(words)])
        assert added.already, f"{words}: {added}"
    for words in rules:
        deleted = firewall.apply([program, "-D", CHAIN, *shlex.split(words)])
        assert deleted.outcome is Outcome.DONE, f"{words}: {deleted}"
    assert "\n-A" not in output([program, "-S", CHAIN])
    print(f"{output([program, '-V']).strip()}: all {len(rules)} rules found and deleted")


if __name__ == "__main__":
    for each in Family:
        {"write": write, "use": use}[sys.argv[1]](each)
