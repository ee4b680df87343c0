"""The legacy tables, through python-iptables: the only room that imports iptc.

python-iptables keeps each table's handle for the whole process and commits it when it likes; used
plainly it undoes what others changed meanwhile and swallows its own failures. So each change here
is made under the lock that iptables itself takes (xtables.lock), on a table read afresh, and with
one explicit commit. A commit is a single system call: a crash leaves either table whole.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from pyknockd.firewall.conditions import Meaning
from pyknockd.firewall.legacy import entry as entries
from pyknockd.firewall.rule import Adding, Extension, Family, Operation, Option, Rule, network
from pyknockd.firewall.shadowing import Until, View, is_first, view
from pyknockd.system.trust import nowhere

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


class Change(Enum):
    """What came of a change: ``NOTHING`` where the rule to be added was there already."""

    MADE = "made"
    NOTHING = "nothing"
    LOCKED = "locked"


def load() -> None:
    """Import python-iptables, which takes a while. Raises LegacyError."""
    _iptc()


def apply(rule: Rule, family: Family, adding: Adding = Adding.ONCE) -> Change:
    """Make one change, unless someone else holds the lock. Raises LegacyError, nothing changed."""
    iptc = _iptc()
    with _lock() as held:
        if not held:
            return Change.LOCKED
        try:
            return Change.MADE if _change(iptc, rule, family, adding) else Change.NOTHING
        except (iptc.IPTCError, iptc.errors.XTablesError) as error:
            raise LegacyError(_text(error)) from error
        except (ValueError, AttributeError, TypeError) as error:
            # What python-iptables raises for an option or an address that it cannot read.
            raise LegacyError(f"python-iptables cannot express it: {_text(error)}") from error


def is_there(rule: Rule, family: Family) -> bool:
    """Whether a rule that is to be deleted is there. Raises LegacyError if that cannot be told."""
    if rule.table not in _existing_tables(family):
        return False  # to look into it would create it
    iptc = _iptc()
    try:
        with _table(iptc, rule.table, family) as table:
            chain = iptc.Chain(table, rule.chain)
            return table.is_chain(rule.chain) and _take_away(
                iptc, chain, _entry(iptc, rule, family, table)
            )
    except (iptc.IPTCError, iptc.errors.XTablesError, OSError) as error:
        raise LegacyError(_text(error)) from error
    except (ValueError, AttributeError, TypeError) as error:
        raise LegacyError(f"python-iptables cannot express it: {_text(error)}") from error


def look(rule: Rule, family: Family, until: Until = None) -> View | None:
    """What stands before ``rule`` in its chain; None if there is no such chain. Raises LegacyError."""
    if rule.table not in _existing_tables(family):
        return None  # to look into it would create it
    iptc = _iptc()
    try:
        with _table(iptc, rule.table, family) as table:
            if not table.is_chain(rule.chain):
                return None
            count = ctypes.c_uint(0)
            references = table._iptc.iptc_get_references
            references(ctypes.byref(count), rule.chain.encode(), table._handle)
            reachable = table.builtin_chain(rule.chain) or count.value > 0
            is_alone = until is None and is_first(rule)
            before = iter(()) if is_alone else _meanings(table, rule.chain, family)
            return view(before, reachable, until)
    except (iptc.IPTCError, iptc.errors.XTablesError, OSError) as error:
        raise LegacyError(_text(error)) from error


def _existing_tables(family: Family) -> list[str]:
    name = "ip_tables_names" if family is Family.IPV4 else "ip6_tables_names"
    try:
        return Path(f"/proc/thread-self/net/{name}").read_text().split()
    except OSError:
        return []


def _meanings(table: Any, chain: str, family: Family) -> Iterator[Meaning]:
    entry = table.first_rule(chain)
    while entry:
        data = ctypes.string_at(ctypes.addressof(entry), entry.next_offset)
        yield entries.read(data, (table.get_target(entry) or b"").decode(), family)
        entry = table.next_rule(entry)


@cache
def _iptc() -> Any:
    # Importing it loads kernel modules and takes a while: only a legacy rule needs it. It looks for
    # its libraries in the current folder, and asks gcc and ld where they are.
    try:
        with nowhere():
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
    flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise LegacyError(f"cannot open {path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


@contextmanager
def _table(iptc: Any, name: str, family: Family) -> Iterator[Any]:
    """A table as it is now; what is not committed is forgotten."""
    kind = iptc.Table if family is Family.IPV4 else iptc.Table6
    table = kind(name, autocommit=False)
    table.refresh()
    try:
        yield table
    finally:
        table.close()


def _change(iptc: Any, rule: Rule, family: Family, adding: Adding) -> bool:
    """Whether anything had to be changed."""
    with _table(iptc, rule.table, family) as table:
        if not table.is_chain(rule.chain):
            raise LegacyError(f"no chain {rule.chain}")
        chain = iptc.Chain(table, rule.chain)
        if rule.operation is Operation.DELETE and rule.position:
            _delete_number(table, rule)
        else:
            entry = _entry(iptc, rule, family, table)
            if rule.operation is Operation.DELETE:
                chain.delete_rule(entry)
            else:
                there = adding is not Adding.AGAIN and _take_away(iptc, chain, entry)
                if there and adding is Adding.ONCE:
                    return False
                _add(chain, entry, rule)
        table.commit()
        return True


def _delete_number(table: Any, rule: Rule) -> None:
    delete = table._iptc.iptc_delete_num_entry
    number = ctypes.c_uint(rule.position - 1)
    if delete(rule.chain.encode(), number, table._handle) != 1:
        raise LegacyError(f"no rule {rule.position} in {rule.chain}")


def _add(chain: Any, entry: Any, rule: Rule) -> None:
    if rule.operation is Operation.APPEND:
        chain.append_rule(entry)
    else:
        chain.insert_rule(entry, max(rule.position - 1, 0))


def _take_away(iptc: Any, chain: Any, entry: Any) -> bool:
    """Whether it was there, as `iptables -C` tells; gone it is only once that is committed."""
    try:
        chain.delete_rule(entry)
    except iptc.IPTCError:
        return False
    return True


def _entry(iptc: Any, rule: Rule, family: Family, table: Any) -> Any:
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


def _text(error: Exception) -> str:
    return " ".join(
        arg.decode(errors="replace") if isinstance(arg, bytes) else str(arg) for arg in error.args
    )
