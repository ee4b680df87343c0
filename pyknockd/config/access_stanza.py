"""A stanza of access.conf, and what all of it comes to."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyknockd.model import Network
from pyknockd.model.access import Access, Cycle, Digest, Keys, Nat, Port, Secret
from pyknockd.proof.spa_variables import names_port

_GOOD_KEY = 16  # octets; shorter ones are guessed from one packet that somebody has recorded


@dataclass(slots=True)
class Draft:
    """A stanza while its lines are read. ``line`` is its SOURCE's, ``seen`` the names it has had."""

    name: str
    line: int
    seen: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    sources: tuple[Network, ...] = ()
    destinations: tuple[Network, ...] = ()
    open_ports: tuple[Port, ...] | None = None
    restricted_ports: tuple[Port, ...] = ()
    key: Secret | None = None
    hmac_key: Secret | None = None
    hmac_digest: Digest = Digest.SHA256
    open_for: int = 30
    longest: int = 300
    needs_address: bool = False
    user: str | None = None
    expires: int | None = None
    forced_nat: Nat | None = None
    opening: str | None = None
    closing: str | None = None
    timer: int | None = None
    mistakes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def finish(draft: Draft) -> Access | None:
    """What the whole stanza comes to; None, and ``draft.mistakes`` and ``warnings``, if to nothing."""
    cycle = _cycle(draft)
    _check_ports(draft)
    keys = _keys(draft)
    if draft.mistakes or draft.failed or keys is None:
        return None
    return Access(
        draft.name,
        keys,
        draft.open_ports,
        draft.restricted_ports,
        draft.sources,
        draft.destinations,
        open_for=draft.timer if draft.timer is not None else draft.open_for,
        longest=draft.longest,
        needs_address=draft.needs_address,
        user=draft.user,
        expires=draft.expires,
        forced_nat=draft.forced_nat,
        cycle=cycle,
    )


def _keys(draft: Draft) -> Keys | None:
    if draft.key is None and not draft.failed & {"KEY", "KEY_BASE64"}:
        draft.mistakes.append("there is no KEY or KEY_BASE64")
    if draft.hmac_key is None and not draft.failed & {"HMAC_KEY", "HMAC_KEY_BASE64"}:
        draft.mistakes.append(
            "there is no HMAC_KEY or HMAC_KEY_BASE64: without one, whatever anybody sends would be"
            " decrypted, and a packet could be used twice"
        )
    if draft.key is None or draft.hmac_key is None:
        return None
    if draft.key == draft.hmac_key:
        draft.mistakes.append("the encryption key and the HMAC key must not be the same")
        return None
    if min(len(draft.key.octets), len(draft.hmac_key.octets)) < _GOOD_KEY:
        draft.warnings.append(
            f"a key is shorter than {_GOOD_KEY} octets: who has recorded one packet can guess it"
        )
    return Keys(draft.key, draft.hmac_key, draft.hmac_digest)


def _check_ports(draft: Draft) -> None:
    if draft.open_ports is not None or "OPEN_PORTS" in draft.failed:
        return
    commands = [command for command in (draft.opening, draft.closing) if command is not None]
    if not commands or any(names_port(command) for command in commands):
        draft.mistakes.append(
            "there are no OPEN_PORTS: any port could be asked for; expected a line like:"
            " OPEN_PORTS tcp/22"
        )


def _cycle(draft: Draft) -> Cycle | None:
    names = {"CMD_CYCLE_OPEN", "CMD_CYCLE_CLOSE", "CMD_CYCLE_TIMER"} & draft.seen
    if not names or names & draft.failed:
        return None
    if draft.opening is None or "CMD_CYCLE_CLOSE" not in names:
        draft.mistakes.append("expected CMD_CYCLE_OPEN and CMD_CYCLE_CLOSE together")
        return None
    if draft.closing is not None and draft.timer is None:
        draft.mistakes.append("expected a CMD_CYCLE_TIMER: when to run CMD_CYCLE_CLOSE")
        return None
    return Cycle(draft.opening, draft.closing)
