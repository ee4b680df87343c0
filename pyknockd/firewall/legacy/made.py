"""A rule as python-iptables' own object, for what that is known to express as iptables does."""

from __future__ import annotations

from typing import Any

from pyknockd.firewall.rule import Extension, Family, Option, Rule, network

_STANDARD_TARGETS = ("ACCEPT", "DROP", "RETURN")
_KNOWN_TARGETS = (*_STANDARD_TARGETS, "REJECT", "LOG")
_KNOWN_MATCHES = (
    *("tcp", "udp", "multiport", "conntrack", "state", "comment", "limit", "mark", "iprange"),
    *("mac", "addrtype"),
)
_ATTRIBUTES = {
    "protocol": "protocol",
    "source": "src",
    "destination": "dst",
    "in-interface": "in_interface",
    "out-interface": "out_interface",
}
_ESCAPED = frozenset("\"'\\$`")


class LegacyError(Exception):
    """The change was not made: python-iptables is missing, cannot express it, or failed."""


def made(iptc: Any, rule: Rule, family: Family, table: Any) -> Any:
    """``rule`` as an object of ``iptc``, to stand in ``table``. Raises LegacyError, and what that does."""
    kind = iptc.Rule if family is Family.IPV4 else iptc.Rule6
    # To tell a chain's name from an extension's, python-iptables opens every table there might be,
    # which creates them in the kernel. The one that is being changed is enough.
    kind.tables = property(lambda _: [table])
    entry = kind()
    for option in rule.basics:
        _check(option, family)
        value = option.values[0]
        if option.name in ("source", "destination"):
            # iptables clears the bits behind the mask; python-iptables does not always.
            found = network(value, family)
            if found is None:
                raise LegacyError(f"{value} is no plain address")
            value = str(found)
        setattr(entry, _ATTRIBUTES[option.name], ("!" if option.negated else "") + value)
    for extension in rule.matches:
        if extension.name not in _KNOWN_MATCHES:
            raise LegacyError(f"python-iptables is not known to express the match {extension.name}")
        _set_options(entry.create_match(extension.name), extension)
    if rule.target is None:
        raise LegacyError("python-iptables cannot express a rule without a target")
    name = rule.target.name
    if name not in _KNOWN_TARGETS and not table.is_chain(name):
        raise LegacyError(f"no chain or known target {name}")
    if rule.goto and not table.is_chain(name):
        raise LegacyError(f"no chain {name}")
    _set_options(entry.create_target(name, goto=rule.goto), rule.target)
    return entry


def _check(option: Option, family: Family) -> None:
    """Raise LegacyError for what python-iptables gets wrong."""
    if family is Family.IPV6 and option.name.endswith("-interface"):
        # Its mask has 0x01 where 0xff belongs: such a rule would fit other interfaces as well.
        raise LegacyError("python-iptables cannot express an interface over IPv6")
    if option.name.endswith("-interface") and option.values[0].endswith("+"):
        # It leaves the + away; to iptables 1.8.11 that is another name, and another rule.
        raise LegacyError("python-iptables cannot express a part of an interface's name")
    if family is Family.IPV6 and option.negated and option.name == "protocol":
        raise LegacyError("python-iptables cannot express a negated protocol over IPv6")


def _set_options(extension: Any, wanted: Extension) -> None:
    for option in wanted.options:
        extension.set_parameter(option.name, _values(option))


def _values(option: Option) -> list[str]:
    # python-iptables reads a rule's options back from their printed form before it commits them,
    # and gets wrong what is escaped there and what looks like an option.
    for value in option.values:
        if value == "!" or value.startswith("--") or _ESCAPED & set(value):
            raise LegacyError(f"python-iptables would misread the value {value}")
    return [*(("!",) if option.negated else ()), *option.values]
