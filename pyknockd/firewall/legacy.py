"""The legacy tables, through python-iptables: the only room that imports iptc.

python-iptables keeps each table's handle for the whole process and commits it when it likes; used
plainly it undoes what others changed meanwhile and swallows its own failures. So each change here
is made under the lock that iptables itself takes (xtables.lock), on a table read afresh, and with
one explicit commit. A commit is a single system call: a crash leaves either table whole.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Any

from pyknockd.rule import Extension, Family, Operation, Option, Rule

_STANDARD_TARGETS = ("ACCEPT", "DROP", "RETURN")
_KNOWN_TARGETS = (*_STANDARD_TARGETS, "REJECT", "LOG")
_ATTRIBUTES = {
    "protocol": "protocol",
    "source": "src",
    "destination": "dst",
    "in-interface": "in_interface",
    "out-interface": "out_interface",
}
_NO_INTERFACE = {
    "in-interface": ("OUTPUT", "POSTROUTING"),
    "out-interface": ("INPUT", "PREROUTING"),
}
_ESCAPED = frozenset("\"'\\$`")


class LegacyError(Exception):
    """The change was not made: python-iptables is missing, cannot express it, or failed."""


def apply(rule: Rule, family: Family) -> bool:
    """Make one change; False if someone else holds the lock. Raises LegacyError, nothing changed."""
    iptc = _iptc()
    with _lock() as held:
        if not held:
            return False
        try:
            _change(iptc, rule, family)
        except (iptc.IPTCError, iptc.errors.XTablesError) as error:
            raise LegacyError(_text(error)) from error
        except (ValueError, AttributeError, TypeError) as error:
            # What python-iptables raises for an option or an address that it cannot read.
            raise LegacyError(f"python-iptables cannot express it: {_text(error)}") from error
    return True


def _iptc() -> Any:
    # Importing it loads kernel modules and takes a while: only a legacy rule needs it.
    try:
        import iptc
    except (ImportError, OSError) as error:
        raise LegacyError(f"python-iptables cannot be loaded: {error}") from error
    except Exception as error:  # its own class, unreachable while the import fails
        if type(error).__name__ != "XTablesError":
            raise
        raise LegacyError(f"python-iptables cannot be loaded: {error}") from error
    return iptc


@contextmanager
def _lock() -> Iterator[bool]:
    """Iptables' own lock, or False at once if it is taken."""
    path = os.environ.get("XTABLES_LOCKFILE", "/run/xtables.lock")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LegacyError(f"cannot open {path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _change(iptc: Any, rule: Rule, family: Family) -> None:
    kind = iptc.Table if family is Family.IPV4 else iptc.Table6
    table = kind(rule.table, autocommit=False)
    table.refresh()
    try:
        if not table.is_chain(rule.chain):
            raise LegacyError(f"no chain {rule.chain}")
        chain = iptc.Chain(table, rule.chain)
        entry = _entry(iptc, rule, family, table)
        if rule.operation is Operation.APPEND:
            chain.append_rule(entry)
        elif rule.operation is Operation.INSERT:
            chain.insert_rule(entry, max(rule.position - 1, 0))
        else:
            chain.delete_rule(entry)
        table.commit()
    finally:
        table.close()


def _entry(iptc: Any, rule: Rule, family: Family, table: Any) -> Any:
    kind = iptc.Rule if family is Family.IPV4 else iptc.Rule6
    # To tell a chain's name from an extension's, python-iptables opens every table there might be,
    # which creates them in the kernel. The one that is being changed is enough.
    kind.tables = property(lambda _: [table])
    entry = kind()
    for option in rule.basics:
        _check(option, rule.chain, family)
        value = option.values[0]
        if option.name in ("source", "destination"):
            # iptables clears the bits behind the mask; python-iptables does not always.
            value = str(ip_network(value, strict=False))
        setattr(entry, _ATTRIBUTES[option.name], ("!" if option.negated else "") + value)
    for extension in rule.matches:
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


def _check(option: Option, chain: str, family: Family) -> None:
    """Raise LegacyError for what iptables would refuse or python-iptables get wrong."""
    if family is Family.IPV6 and option.name.endswith("-interface"):
        # Its mask has 0x01 where 0xff belongs: such a rule would fit other interfaces as well.
        raise LegacyError("python-iptables cannot express an interface over IPv6")
    if family is Family.IPV6 and option.negated and option.name == "protocol":
        raise LegacyError("python-iptables cannot express a negated protocol over IPv6")
    if chain in _NO_INTERFACE.get(option.name, ()):
        raise LegacyError(f"{chain} has no {option.name}")


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


def _text(error: Exception) -> str:
    return " ".join(
        arg.decode(errors="replace") if isinstance(arg, bytes) else str(arg) for arg in error.args
    )
