"""Rules from iptables' words."""

from __future__ import annotations

from hypothesis import strategies as st

from pyknockd.firewall.conditions import Meaning, meaning_of
from pyknockd.firewall.iptables import parse
from pyknockd.firewall.rule import Family, Rule, network
from pyknockd.system.shell import split


def rule(command: str) -> Rule | None:
    """What iptables' words say, if they are understood."""
    found = split(command)
    assert found is not None
    return parse(found)


def meaning(command: str, family: Family = Family.IPV4) -> Meaning:
    """What a rule of INPUT matches."""
    found = rule(f"-A INPUT {command}")
    assert found is not None
    return meaning_of(found, family)


PACKETS = [
    (address, port, interface)
    for address in (0, 1, 2, 3)
    for port in (0, 1, 2, 3)
    for interface in ("e", "e0", "e1", "f")
]
SOURCES = ["0.0.0.0/30", "0.0.0.0/31", "0.0.0.2/31", "0.0.0.1", "0.0.0.2"]
PORTS = ["0", "1", "1:2", "0:2", "2:3"]


@st.composite
def small_rules(draw: st.DrawFn) -> str:
    """Rules for tcp packets of PACKETS."""
    parts = ["-p tcp"]
    for name, values in (("-s", SOURCES), ("--dport", PORTS), ("-i", ["e", "e+", "e0", "f"])):
        value = draw(st.sampled_from(["", *values]))
        if value:
            parts.append(f"{draw(st.sampled_from(['', '! ']))}{name} {value}")
    return " ".join([*parts, "-j DROP"])


def holds(command: str, address: int, port: int, interface: str) -> bool:
    """An oracle: whether the rule is true of a packet, from its words alone."""
    found = rule(f"-A INPUT {command}")
    assert found is not None
    options = [*found.basics, *(option for match in found.matches for option in match.options)]
    for one in options:
        value = one.values[0]
        if one.name == "source":
            inside = network(value, Family.IPV4)
            assert inside is not None
            true = int(inside.network_address) <= address <= int(inside.broadcast_address)
        elif one.name == "dport":
            low, _, high = value.partition(":")
            true = int(low) <= port <= int(high or low)
        elif one.name == "in-interface":
            true = interface.startswith(value[:-1]) if value[-1] == "+" else interface == value
        else:
            true = True
        if true is one.negated:
            return False
    return True
