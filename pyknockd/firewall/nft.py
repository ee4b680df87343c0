"""The nf_tables tables, through libnftables: the only room that imports nftables.

libnftables makes the change; what stands in a chain is read from the kernel itself, since to list
5,000 rules takes libnftables 20 ms. Each chain that has been read is kept as long as the kernel's
generation says that nobody has changed anything since; a change of our own is added to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyknockd.condition import Meaning
from pyknockd.firewall import form
from pyknockd.firewall.form import Form
from pyknockd.firewall.meaning import read
from pyknockd.firewall.netlink import Change, Entry, NetlinkError, Reader
from pyknockd.rule import Family, Operation, Rule
from pyknockd.shadow import View

_FAMILIES = {Family.IPV4: (2, "ip"), Family.IPV6: (10, "ip6")}  # NFPROTO_*, and nft's word
_TABLES = ("filter", "nat", "mangle", "raw", "security")


class NftError(Exception):
    """The change was not made: libnftables is missing, cannot express it, or failed."""


@dataclass(frozen=True, slots=True)
class _Place:
    family: Family
    table: str
    chain: str


class Nft:
    """A netlink socket, the chains that have been read through it, and libnftables if it is needed."""

    def __init__(self) -> None:
        """Raises NftError."""
        try:
            self._reader = Reader()
        except NetlinkError as error:
            raise NftError(str(error)) from error
        self._chains: dict[_Place, list[Entry]] = {}
        self._generation = 0
        self._library: Any = None
        self._missing = ""

    def load(self) -> None:
        """Load libnftables, if that has not been tried. Raises NftError."""
        if self._library is None and not self._missing:
            try:
                self._library = _library()
            except NftError as error:
                self._missing = str(error)
        if self._missing:
            raise NftError(self._missing)

    def has_rules(self) -> bool:
        """Whether nf_tables has any rule at all. Raises NftError."""
        try:
            return self._reader.has_rules()
        except NetlinkError as error:
            raise NftError(str(error)) from error

    def apply(self, rule: Rule, family: Family) -> bool:
        """Make one change; False if the rule to be added was there. Raises NftError, nothing changed."""
        self.load()
        wanted = expressible(rule, family)
        place = _Place(family, rule.table, rule.chain)
        try:
            entries = self._entries(place)
            found = None if wanted is None else _find(entries, wanted, family)
            if rule.operation is Operation.DELETE:
                at = rule.position - 1 if wanted is None else found
                if at is None or at >= len(entries):
                    raise NftError("no such rule")
                self._change(f"delete rule {_name(place)} handle {entries[at].handle}")
                self._deleted(place, at)
                return True
            if found is not None or wanted is None:
                return False
            self._add(place, rule, entries, wanted)
        except NetlinkError as error:
            self._chains.clear()
            raise NftError(str(error)) from error
        return True

    def look(self, rule: Rule, family: Family) -> View | None:
        """The chain that ``rule`` is for; None if there is none. Raises NftError."""
        number, _ = _FAMILIES[family]
        try:
            entries = self._entries(_Place(family, rule.table, rule.chain))
            users = self._reader.users(number, rule.table, rule.chain)
        except NetlinkError:
            return None
        reachable = users is None or users > len(entries)
        return View([_meaning(entry, family) for entry in entries], reachable)

    def _add(self, place: _Place, rule: Rule, entries: list[Entry], wanted: Form) -> None:
        at = len(entries) if rule.operation is Operation.APPEND else max(rule.position - 1, 0)
        if at > len(entries):
            raise NftError("the chain has fewer rules")
        if rule.operation is Operation.APPEND or (at and at == len(entries)):
            command = f"add rule {_name(place)} {wanted.text}"
        elif at == 0:
            command = f"insert rule {_name(place)} {wanted.text}"
        else:
            command = f"insert rule {_name(place)} handle {entries[at].handle} {wanted.text}"
        self._reader.listen(True)
        try:
            self._change(command)
            change = self._reader.change()
        finally:
            self._reader.listen(False)
        self._added(place, at, change)

    def _change(self, command: str) -> None:
        status, _, said = self._library.cmd(command)
        if status:
            self._chains.clear()
            raise NftError(f"libnftables: {' '.join(said.split('^')[0].split())}")

    def _entries(self, place: _Place) -> list[Entry]:
        """The rules of a chain as they are now."""
        generation = self._reader.generation()
        if generation != self._generation:
            self._chains.clear()
            self._generation = generation
        if place not in self._chains:
            number, _ = _FAMILIES[place.family]
            self._chains[place] = self._reader.rules(number, place.table, place.chain)
            if self._reader.generation() != generation:
                # Changed meanwhile: what was read is good for this once.
                return self._chains.pop(place)
        return self._chains[place]

    def _added(self, place: _Place, at: int, change: Change | None) -> None:
        if change is None or change.generation != self._next() or len(change.added) != 1:
            self._chains.clear()
            return
        self._generation = change.generation
        if place in self._chains:
            self._chains[place].insert(at, change.added[0])

    def _deleted(self, place: _Place, at: int) -> None:
        if self._reader.generation() != self._next():
            self._chains.clear()
            return
        self._generation = self._next()
        if place in self._chains:
            del self._chains[place][at]

    def _next(self) -> int:
        return (self._generation + 1) & 0xFFFFFFFF


def expressible(rule: Rule, family: Family) -> Form | None:
    """How ``rule``, its ports numbers, is said to libnftables; None for `-D CHAIN NUMBER`, which says none.

    Raises NftError.
    """
    if rule.table not in _TABLES or not form.CHAIN_NAME.fullmatch(rule.chain):
        raise NftError("no name for libnftables")
    if rule.operation is Operation.DELETE and rule.position:
        return None
    found = form.form(rule, family)
    if found is None:
        raise NftError("no form for it that is certain")
    return found


def _library() -> Any:
    try:
        import nftables

        return nftables.Nftables()
    except (ImportError, OSError, AttributeError) as error:
        raise NftError(f"python3-nftables cannot be loaded: {error}") from error


def _find(entries: list[Entry], wanted: Form, family: Family) -> int | None:
    """The place of the first rule that iptables would call the same."""
    for at, entry in enumerate(entries):
        if wanted.needle in entry.expressions:
            found = _meaning(entry, family)
            if found == wanted.meaning:
                return at
            if not found.complete and _may_be_same(entry.expressions):
                raise NftError("the chain holds rules that only iptables can read")
    return None


def _meaning(entry: Entry, family: Family) -> Meaning:
    if entry.meaning is None:
        entry.meaning = read(entry.expressions, family)
    return entry.meaning


def _may_be_same(expressions: bytes) -> bool:
    """Whether iptables may call a rule the same though it has no meaning here.

    Ports are matches `tcp` and `udp` to older releases of iptables.
    """
    return b"match\0" in expressions and (b"tcp\0" in expressions or b"udp\0" in expressions)


def _name(place: _Place) -> str:
    return f"{_FAMILIES[place.family][1]} {place.table} {place.chain}"
