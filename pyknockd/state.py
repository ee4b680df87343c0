"""Where it is kept which doors stand open: one journal for each configuration, and who holds it.

A configuration is the file that its path leads to in the end, by whatever name. Who guards it holds
the claim beside its journal, so that it is not guarded twice. What a knockd left open whose
configuration is there no more, since it was moved or renamed, is its next one's to close.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic

from pyknockd.doors import Journal
from pyknockd.model import ANY_INTERFACE
from pyknockd.model.events import Side, Trouble
from pyknockd.system.claim import Claim, ClaimedError, Holder, holder
from pyknockd.system.places import digest, journal_of, stem_of
from pyknockd.system.trust import others_can_change
from pyknockd.system.worker import within

PATIENCE = 3.0  # seconds for the disk, which may hang
_CLAIM = ".lock"


class GuardedError(Exception):
    """Another knockd guards these doors; the text says which, and how to watch it."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What a daemon guards: the doors of a file, by its canonical path, on these interfaces.

    ``network`` is the namespace that they are in.
    """

    config: str
    interfaces: tuple[str, ...]
    network: str

    @property
    def place(self) -> str:
        return f"{self.network}\n{','.join(self.interfaces)}"

    @property
    def text(self) -> str:
        # The path is last, as there may be anything in it.
        return f"{self.place}\n{self.config}"

    def meets(self, other: Guard) -> bool:
        """Whether a knock may be heard by both. What ``auto`` is in the end is not asked."""
        if self.network != other.network:
            return False
        both = (self.interfaces, other.interfaces)
        return any(ANY_INTERFACE in names for names in both) or not set(both[0]).isdisjoint(both[1])


@dataclass(slots=True)
class State:
    """What is kept of one configuration: ``stem`` is how its files begin, without an ending.

    ``events`` are what there was to tell; ``claim`` is None where there is no place for one.
    """

    stem: Path
    claim: Claim | None = None
    events: list[Trouble] = field(default_factory=list)

    @property
    def journal(self) -> Path:
        return journal_of(self.stem)

    def tell(self, text: str) -> None:
        self.events.append(Trouble(monotonic(), Side.STATE, text))

    def close(self) -> None:
        """Let others guard these doors."""
        if self.claim is not None:
            self.claim.close()


def claim(config_path: str, interfaces: tuple[str, ...]) -> State:
    """Begin to guard the doors of a file, with what its last guard left. Raises GuardedError."""
    stem, guard = stem_of(config_path), Guard(os.path.realpath(config_path), interfaces, _network())
    found = within(PATIENCE, partial(_claim, stem, guard))
    if found is None:
        found = State(stem)
        found.tell(
            f"the disk of {stem.parent} does not answer: another knockd may guard these doors"
        )
    if isinstance(found, GuardedError):
        raise found
    return found


def _claim(stem: Path, guard: Guard) -> State | GuardedError:
    state = State(stem)
    try:
        state.stem.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if others_can_change(state.stem.parent.resolve()):
            return state  # the journal says so, and is not kept
        _take(state, guard)
        for path in sorted(state.stem.parent.glob(f"doors*{_CLAIM}")):
            _take_over(state, guard, path)
    except GuardedError as error:
        return error
    except OSError:
        pass  # the journal cannot be had either, and says so; doors go on without
    return state


def _claim_of(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}{_CLAIM}")


def _take(state: State, guard: Guard) -> None:
    """Raises GuardedError and OSError."""
    try:
        state.claim = Claim(_claim_of(state.stem), guard.text)
        return
    except ClaimedError as error:
        other = _guard_of(error.holder)
        if other is None or other.meets(guard):
            raise _guarded(error.holder, guard) from error
        pid = error.holder.pid
    # As two of knockd's do, each of which knows but one interface.
    state.stem = state.stem.with_name(f"{state.stem.name}-{digest(guard.place)}")
    try:
        state.claim = Claim(_claim_of(state.stem), guard.text)
    except ClaimedError as error:
        raise _guarded(error.holder, guard) from error
    where = ",".join(other.interfaces)
    state.tell(f"another knockd (PID {pid}) guards the doors of {guard.config} on {where}")


def _guarded(found: Holder, guard: Guard) -> GuardedError:
    return GuardedError(
        f"another knockd (PID {found.pid}) guards the doors of {guard.config};"
        " to watch it: journalctl -ft knockd"
    )


def _guard_of(found: Holder) -> Guard | None:
    network, _, rest = found.about.partition("\n")
    interfaces, line_feed, config = rest.partition("\n")
    return Guard(config, tuple(interfaces.split(",")), network) if line_feed else None


def _network() -> str:
    try:
        return os.readlink("/proc/self/ns/net")
    except OSError:
        return ""


def _take_over(state: State, guard: Guard, path: Path) -> None:
    """What is left by another knockd that guarded this file, or one that is there no more. OSError."""
    stem = path.with_suffix("")
    found = holder(path)
    other = _guard_of(found) if found is not None and stem != state.stem else None
    if other is None or other.network != guard.network or not journal_of(stem).exists():
        return
    if os.path.lexists(other.config) and os.path.realpath(other.config) != guard.config:
        return
    try:
        held = Claim(path, other.text)
    except ClaimedError:
        return
    left = Journal(journal_of(stem))
    openings = left.left()
    left.close()  # which leaves one file of it
    if not state.journal.exists():
        journal_of(stem).rename(state.journal)
        state.tell(f"what the knockd of {other.config} left open is taken over")
    else:
        for one in openings:
            if one.closing is not None:
                state.tell(
                    f"{one.door}: left open for {one.source} by the knockd of {other.config}, and"
                    f" not closed by this one; to close it: {one.closing}"
                )
    held.close()
