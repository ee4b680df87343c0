"""Which firewall an iptables command changes, and the change itself where it can be made in process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from pyknockd.firewall import iptables, program, shadowing
from pyknockd.firewall.conditions import meaning_of
from pyknockd.firewall.identity import Effect, effect_of
from pyknockd.firewall.legacy import tables as legacy
from pyknockd.firewall.legacy.made import LegacyError
from pyknockd.firewall.names import family, is_iptables
from pyknockd.firewall.nft.tables import Nft, NftError, expressible
from pyknockd.firewall.program import Kind, Program
from pyknockd.firewall.rule import Adding, Family, Operation, Rule
from pyknockd.firewall.services import numbered
from pyknockd.firewall.shadowing import Old, Until, View
from pyknockd.model import expand
from pyknockd.system.shell import split

# RFC 5737, RFC 3849: an address to fill in where only the form of a command matters.
_SAMPLES = {Family.IPV4: "192.0.2.1", Family.IPV6: "2001:db8::1"}
_BOTH_KINDS = (
    "there are rules in the legacy tables and in nf_tables: a packet must pass both, and"
    " `iptables -S` shows only one"
)


class Outcome(Enum):
    """What came of an attempt to make a change in process."""

    DONE = "done"
    BUSY = "busy"
    RUN_THE_PROGRAM = "run the program"


@dataclass(frozen=True, slots=True)
class Applied:
    """An outcome, and what there is to say about it.

    ``BUSY``: another program holds iptables' lock, try again soon. ``RUN_THE_PROGRAM``: nothing was
    changed, for ``reason``; the program named is the one to do it. With either, if the command
    ``check``, where there is one, ends with status 0 there is nothing to be added; ``already`` says
    the same of ``DONE``. ``warning`` is a line on a new rule that opens nothing; ``old`` is what there
    is to say of one that is there already, or may be.
    """

    outcome: Outcome
    reason: str = ""
    already: bool = False
    check: tuple[str, ...] = ()
    warning: str = ""
    old: Old = Old()


@dataclass(frozen=True, slots=True)
class Prepared:
    """How each command will be run, a line each, and what is odd about the firewall."""

    ways: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Tables:
    """What can be changed at once."""

    kind: Kind
    family: Family
    table: str


class Firewall:
    """The programs that commands name, and a handle of nf_tables once it is needed."""

    def __init__(self) -> None:
        self._programs: dict[str, Program] = {}
        self._nft: Nft | None = None

    def prepare(self, templates: Iterable[str]) -> Prepared:
        """Get ready for commands with ``%IP%`` in them, whichever are iptables': load what they need."""
        self._programs.clear()
        ways = []
        for template in dict.fromkeys(templates):
            words = _sample(template)
            if words is not None:
                ways.append(f"{template}: {self._way(words)}")
        odd = (_BOTH_KINDS,) if ways and self._rules_of_both_kinds() else ()
        return Prepared(tuple(ways), odd)

    def _rules_of_both_kinds(self) -> bool:
        try:
            return program.legacy_rules() and self._tables().has_rules()
        except NftError:
            return False

    def apply(self, words: Sequence[str], adding: Adding = Adding.ONCE) -> Applied:
        """Make the change that the iptables command ``words`` asks for, if it is certain to be exact."""
        named = self._program(words[0])
        change = _rule(tuple(words[1:]))
        looks = adding is Adding.ONCE and program.adds(words)
        check = program.check_words(words) if looks else ()
        if change is None:
            return Applied(Outcome.RUN_THE_PROGRAM, "it is not understood completely", check=check)
        try:
            done = self._change(change, named, adding)
        except (LegacyError, NftError) as error:
            warning = self._warning(change, named)
            old = self._old(change, named) if check else Old()
            return Applied(Outcome.RUN_THE_PROGRAM, str(error), False, check, warning, old)
        if done is legacy.Change.LOCKED:
            return Applied(Outcome.BUSY, check=check)
        if done is legacy.Change.NOTHING:
            return Applied(Outcome.DONE, already=True, old=self._old(change, named))
        return Applied(Outcome.DONE, warning=self._warning(change, named))

    def delete(self, commands: Sequence[Sequence[str]]) -> list[Sequence[str]]:
        """Carry those of ``commands`` out that delete a rule, and are certain, as few changes for all.

        Which ones: of the others nothing has been done, and ``apply`` tells why.
        """
        together: dict[_Tables, dict[Rule, Sequence[str]]] = {}
        for words in commands:
            change, named = _rule(tuple(words[1:])), self._program(words[0])
            if change is None or change.operation is not Operation.DELETE or named.why_not:
                continue
            tables = _Tables(named.kind, named.family, change.table)
            together.setdefault(tables, {})[change] = words
        done: list[Sequence[str]] = []
        for tables, of_rule in together.items():
            try:
                done += [of_rule[rule] for rule in self._delete(tables, list(of_rule))]
            except (LegacyError, NftError):
                continue
        return done

    def _delete(self, tables: _Tables, rules: Sequence[Rule]) -> list[Rule]:
        if tables.kind is Kind.LEGACY:
            return legacy.delete(rules, tables.table, tables.family)
        return self._tables().delete(rules, tables.family)

    def effect(self, words: Sequence[str]) -> Effect | None:
        """The rule that a command makes or takes away; None if that cannot be told."""
        change = _rule(tuple(words[1:])) if is_iptables(words) else None
        if change is None:
            return None
        named = self._program(words[0])
        return effect_of(change, named.kind.value, named.family)

    def is_there(self, words: Sequence[str]) -> bool | None:
        """Whether the rule is there that an iptables command speaks of; None if it cannot be told."""
        change = _rule(tuple(words[1:]))
        named = self._program(words[0])
        if change is None or named.why_not:
            return None
        try:
            if named.kind is Kind.LEGACY:
                return legacy.is_there(change, named.family)
            return self._tables().is_there(change, named.family)
        except (LegacyError, NftError):
            return None

    def check(self, templates: Iterable[str]) -> list[str]:
        """The warnings that opening would give, found without changing anything. Needs root.

        Runs no program: not everybody whose file is checked may have root run one.
        """
        found = []
        for template in dict.fromkeys(templates):
            words = _sample(template)
            change = None if words is None else _rule(tuple(words[1:]))
            if words is not None and change is not None:
                found.append(self._warning(change, program.find(words[0])))
        return [line for line in found if line]

    def _program(self, name: str) -> Program:
        if name not in self._programs:
            self._programs[name] = program.find(name)
        return self._programs[name]

    def _way(self, words: list[str]) -> str:
        """How a command will be run; loads what that needs."""
        named = self._program(words[0])
        change = _rule(tuple(words[1:]))
        try:
            if change is None:
                raise NftError("it is not understood completely")
            self._load(named, change)
        except (LegacyError, NftError) as error:
            return f"{named.kind.value}, by the program: {error}"
        return f"{named.kind.value}, in process"

    def _load(self, named: Program, change: Rule) -> None:
        if named.why_not:
            raise NftError(named.why_not)
        if named.kind is Kind.LEGACY:
            legacy.load()
        else:
            self._tables().load()
            expressible(change, named.family)

    def _change(self, change: Rule, named: Program, adding: Adding) -> legacy.Change:
        if named.why_not:
            raise NftError(named.why_not)
        if named.kind is Kind.LEGACY:
            return legacy.apply(change, named.family, adding)
        made = self._tables().apply(change, named.family, adding)
        return legacy.Change.MADE if made else legacy.Change.NOTHING

    def _tables(self) -> Nft:
        if self._nft is None:
            self._nft = Nft()
        return self._nft

    def _warning(self, change: Rule, named: Program) -> str:
        """Why the rule of ``change``, there or about to be, opens nothing; empty if not certain."""
        if change.operation is Operation.DELETE:
            return ""
        try:
            chain = self._look(change, named)
        except (LegacyError, NftError):
            return ""
        return "" if chain is None else shadowing.warning(change, named.family, chain)

    def _old(self, change: Rule, named: Program) -> Old:
        """What there is to say of the rule of ``change`` if it is there already."""
        meaning = meaning_of(change, named.family)
        try:
            chain = self._look(change, named, shadowing.is_it(meaning))
        except (LegacyError, NftError):
            return Old()
        return Old() if chain is None else shadowing.old(change, meaning, chain)

    def _look(self, change: Rule, named: Program, until: Until = None) -> View | None:
        if named.kind is Kind.LEGACY:
            return legacy.look(change, named.family, until)
        if named.kind is Kind.NF_TABLES:
            return self._tables().look(change, named.family, until)
        return None


def effect_unrun(words: Sequence[str]) -> Effect | None:
    """``Firewall.effect``, without a firewall at hand."""
    change = _rule(tuple(words[1:])) if is_iptables(words) else None
    if change is None:
        return None
    named = program.find(words[0])
    return effect_of(change, named.kind.value, named.family)


@lru_cache(maxsize=1_024)
def _rule(arguments: tuple[str, ...]) -> Rule | None:
    """The change that ``iptables ARGUMENTS…`` asks for, its ports as numbers; None if it is not clear."""
    change = iptables.parse(arguments)
    return None if change is None else numbered(change)


def _sample(template: str) -> list[str] | None:
    """The words of an iptables command, with an address; None for any other command."""
    words = split(template)
    if not words or not is_iptables(words):
        return None
    return split(expand(template, _SAMPLES[family(words[0])]))
