"""The nf_tables tables, through libnftables: the only room that imports nftables.

libnftables makes the change; what stands in a chain is read from the kernel itself, since to list
5,000 rules takes libnftables 20 ms. Each chain that has been read is kept as long as the kernel's
generation says that nobody has changed anything since; a change of our own is added to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pyknockd.firewall.conditions import Meaning
from pyknockd.firewall.nft import statement
from pyknockd.firewall.nft.chain import Chain, Entry
from pyknockd.firewall.nft.expressions import read
from pyknockd.firewall.nft.netlink import Change, NetlinkError, Reader
from pyknockd.firewall.nft.statement import Form
from pyknockd.firewall.rule import Adding, Family, Operation, Rule
from pyknockd.firewall.shadowing import Until, View, is_first, view

_FAMILIES = {Family.IPV4: (2, "ip"), Family.IPV6: (10, "ip6")}  # NFPROTO_*, and nft's word
_TABLES = ("filter", "nat", "mangle", "raw", "security")


class NftError(Exception):
    """The change was not made: libnftables is missing, cannot express it, or failed."""


@dataclass(frozen=True, slots=True)
class _Place:
    family: Family
    table: str
    chain: str


@dataclass(frozen=True, slots=True)
class _Found:
    place: _Place
    entry: Entry


class Nft:
    """A netlink socket, the chains that have been read through it, and libnftables if it is needed."""

    def __init__(self) -> None:
        """Raises NftError."""
        try:
            self._reader = Reader()
        except NetlinkError as error:
            raise NftError(str(error)) from error
        self._chains: dict[_Place, Chain] = {}
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

    def apply(self, rule: Rule, family: Family, adding: Adding = Adding.ONCE) -> bool:
        """Make one change; False if the rule to be added was there. Raises NftError, nothing changed."""
        self.load()
        wanted = expressible(rule, family)
        place = _Place(family, rule.table, rule.chain)
        try:
            chain = self._chain(place)
            if rule.operation is Operation.DELETE:
                self._delete(place, rule, chain, wanted)
                return True
            old = None if wanted is None else _find(chain, wanted, family)
            if wanted is None or (old is not None and adding is Adding.ONCE):
                return False
            old = None if adding is Adding.AGAIN else old
            self._add(place, rule, chain, wanted, old)
        except NetlinkError as error:
            self._chains.clear()
            raise NftError(str(error)) from error
        return True

    def _delete(self, place: _Place, rule: Rule, chain: Chain, wanted: Form | None) -> None:
        if wanted is None:
            entries = chain.entries()[rule.position - 1 :]
            gone = entries[0] if entries else None
        else:
            gone = _find(chain, wanted, place.family)
        if gone is None:
            raise NftError("no such rule")
        found = _Found(place, gone)
        self._change(_deleting(found))
        self._deleted([found])

    def _deleted(self, gone: Iterable[_Found]) -> None:
        """Take note of what our last change took away. Raises NetlinkError."""
        if self._reader.generation() != self._next():
            self._chains.clear()
            return
        self._generation = self._next()
        for one in gone:
            if one.place in self._chains:
                self._chains[one.place].remove(one.entry)

    def delete(self, rules: Sequence[Rule], family: Family) -> list[Rule]:
        """Take those of ``rules`` away that are certain, in one transaction. Raises NftError, none gone."""
        self.load()
        found: dict[Rule, _Found] = {}
        for rule in rules:
            place = _Place(family, rule.table, rule.chain)
            try:
                wanted = expressible(rule, family)
                entry = None if wanted is None else _find(self._chain(place), wanted, family)
            except (NftError, NetlinkError):
                continue
            if entry is not None:
                found[rule] = _Found(place, entry)
        if found:
            self._change("\n".join(map(_deleting, found.values())))
            try:
                self._deleted(found.values())
            except NetlinkError:
                self._chains.clear()
        return list(found)

    def is_there(self, rule: Rule, family: Family) -> bool:
        """Whether a rule that is to be deleted is there. Raises NftError if that cannot be told."""
        wanted = expressible(rule, family)
        if wanted is None:
            raise NftError("it has no more than a number")
        try:
            chain = self._chain(_Place(family, rule.table, rule.chain))
        except NetlinkError as error:
            self._chains.clear()
            raise NftError(str(error)) from error
        return _find(chain, wanted, family) is not None

    def look(self, rule: Rule, family: Family, until: Until = None) -> View | None:
        """What stands before ``rule`` in its chain; None if there is no such chain."""
        number, _ = _FAMILIES[family]
        try:
            chain = self._chain(_Place(family, rule.table, rule.chain))
            users = self._reader.users(number, rule.table, rule.chain)
        except NetlinkError:
            return None
        reachable = users is None or users > len(chain.entries())
        before = () if until is None and is_first(rule) else chain
        return view((_meaning(entry, family) for entry in before), reachable, until)

    def _add(
        self, place: _Place, rule: Rule, chain: Chain, wanted: Form, old: Entry | None
    ) -> None:
        """Add ``wanted``, and take ``old`` away in the same transaction."""
        at = max(rule.position - 1, 0)
        last = rule.operation is Operation.APPEND or (at > 0 and at == len(chain.entries()))
        command = _adding(place, wanted, chain, None if last else at)
        if old is not None:
            command += f"\n{_deleting(_Found(place, old))}"
        self._reader.listen(True)
        try:
            self._change(command)
            changes = self._reader.changes()
        finally:
            self._reader.listen(False)
        added = self._only_rule(changes)
        if added is None:
            self._chains.clear()
            return
        self._generation = changes[0].generation
        if _meaning(added, place.family) != wanted.meaning:
            # This release of libnftables writes what no release here was seen to write.
            self._change(_deleting(_Found(place, added)))
            self._chains.clear()
            raise NftError("libnftables made another rule of it")
        if old is not None:
            del self._chains[place]
        elif last:
            chain.append(added)
        elif at == 0:
            chain.prepend(added)
        else:
            chain.insert(at, added)

    def _only_rule(self, changes: list[Change]) -> Entry | None:
        """The rule that has just been added, if nothing else was changed; then it is ours.

        Ours is among ``changes``; with another's beside it nobody can tell which is which.
        """
        if len(changes) != 1 or changes[0].generation != self._next():
            return None
        return changes[0].added[0] if len(changes[0].added) == 1 else None

    def _change(self, command: str) -> None:
        status, _, said = self._library.cmd(command)
        if status:
            self._chains.clear()
            raise NftError(f"libnftables: {' '.join(said.split('^')[0].split())}")

    def _chain(self, place: _Place) -> Chain:
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

    def _next(self) -> int:
        return (self._generation + 1) & 0xFFFFFFFF


def expressible(rule: Rule, family: Family) -> Form | None:
    """How ``rule``, its ports numbers, is said to libnftables; None for `-D CHAIN NUMBER`, which says none.

    Raises NftError.
    """
    if rule.table not in _TABLES or not statement.CHAIN_NAME.fullmatch(rule.chain):
        raise NftError("no name for libnftables")
    if rule.operation is Operation.DELETE and rule.position:
        return None
    found = statement.form(rule, family)
    if found is None:
        raise NftError("no form for it that is certain")
    return found


def _adding(place: _Place, wanted: Form, chain: Chain, at: int | None) -> str:
    """What makes ``wanted`` the rule ``at`` of its chain, None for the last. Raises NftError."""
    if at is None:
        return f"add rule {_name(place)} {wanted.text}"
    if at == 0:
        return f"insert rule {_name(place)} {wanted.text}"
    if at > len(chain.entries()):
        raise NftError("the chain has fewer rules")
    return f"insert rule {_name(place)} handle {chain.entries()[at].handle} {wanted.text}"


def _deleting(found: _Found) -> str:
    return f"delete rule {_name(found.place)} handle {found.entry.handle}"


def _library() -> Any:
    try:
        import nftables

        return nftables.Nftables()
    except (ImportError, OSError, AttributeError) as error:
        raise NftError(f"python3-nftables cannot be loaded: {error}") from error


def _find(chain: Chain, wanted: Form, family: Family) -> Entry | None:
    """The first rule that iptables calls the same. Raises NftError if it must say so."""
    for entry in chain.containing(wanted.needle):
        found = _meaning(entry, family)
        if found == wanted.meaning:
            return entry
        if found.may_be(wanted.meaning):
            raise NftError("the chain holds rules that only iptables can read")
    return None


def _meaning(entry: Entry, family: Family) -> Meaning:
    if entry.meaning is None:
        entry.meaning = read(entry.expressions, family, entry.userdata)
    return entry.meaning


def _name(place: _Place) -> str:
    return f"{_FAMILIES[place.family][1]} {place.table} {place.chain}"
