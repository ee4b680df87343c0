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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from pyknockd.firewall.conditions import Meaning
from pyknockd.firewall.legacy import entry as entries
from pyknockd.firewall.legacy.made import LegacyError, made
from pyknockd.firewall.rule import Adding, Family, Operation, Rule
from pyknockd.firewall.shadowing import Until, View, is_first, view
from pyknockd.system.trust import nowhere


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


def delete(rules: Sequence[Rule], table: str, family: Family) -> list[Rule]:
    """Take away those of ``rules``, all of one table, that are there, in one write.

    Raises LegacyError, none gone, also if someone else holds the lock.
    """
    if table not in _existing_tables(family):
        return []  # to look into it would create it
    iptc = _iptc()
    found = []
    with _lock() as held:
        if not held:
            raise LegacyError("another program holds the lock")
        try:
            with _table(iptc, table, family) as opened:
                for rule in rules:
                    if _is_deleted(iptc, rule, family, opened):
                        found.append(rule)
                if found:
                    opened.commit()
        except (iptc.IPTCError, iptc.errors.XTablesError) as error:
            raise LegacyError(_text(error)) from error
    return found


def _is_deleted(iptc: Any, rule: Rule, family: Family, table: Any) -> bool:
    """Whether ``rule`` has been there, and will be gone from ``table`` once that is committed."""
    if rule.position or not table.is_chain(rule.chain):
        return False
    try:
        return _take_away(iptc, iptc.Chain(table, rule.chain), made(iptc, rule, family, table))
    except (LegacyError, ValueError, AttributeError, TypeError):
        return False


def is_there(rule: Rule, family: Family) -> bool:
    """Whether a rule that is to be deleted is there. Raises LegacyError if that cannot be told."""
    if rule.table not in _existing_tables(family):
        return False  # to look into it would create it
    iptc = _iptc()
    try:
        with _table(iptc, rule.table, family) as table:
            chain = iptc.Chain(table, rule.chain)
            return table.is_chain(rule.chain) and _take_away(
                iptc, chain, made(iptc, rule, family, table)
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
            entry = made(iptc, rule, family, table)
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


def _text(error: Exception) -> str:
    return " ".join(
        arg.decode(errors="replace") if isinstance(arg, bytes) else str(arg) for arg in error.args
    )
