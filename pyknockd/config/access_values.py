"""The values of access.conf: what each name says of an access."""

from __future__ import annotations

import binascii
from collections.abc import Callable
from datetime import datetime, timezone
from ipaddress import ip_address, ip_network

from pyknockd.config.access_stanza import Draft
from pyknockd.model import Network, Protocol
from pyknockd.model.access import (
    LONGEST_HMAC_KEY,
    LONGEST_KEY,
    Digest,
    Nat,
    Port,
    Secret,
)

_PLACEHOLDER_KEY = "__CHANGEME__"
_MOST_SECONDS = 8_388_608
_COMMAND_BYTES = 255


class ValueMistakeError(Exception):
    """A value cannot be used; the text says why, and nothing of a key."""


def _set_sources(draft: Draft, value: str) -> None:
    draft.sources = _networks(value)


def _set_destinations(draft: Draft, value: str) -> None:
    draft.destinations = _networks(value)


def _networks(value: str) -> tuple[Network, ...]:
    words = [word.strip() for word in value.split(",")]
    if "ANY" in map(str.upper, words):
        return ()
    try:
        return tuple(ip_network(word, strict=False) for word in words)
    except ValueError:
        raise ValueMistakeError(
            f"found {value!r}; expected ANY, or addresses and networks like 192.0.2.0/24"
        ) from None


def _set_open_ports(draft: Draft, value: str) -> None:
    draft.open_ports = _ports(value)


def _set_restricted_ports(draft: Draft, value: str) -> None:
    draft.restricted_ports = _ports(value)


def _ports(value: str) -> tuple[Port, ...]:
    return tuple(_port(word.strip()) for word in value.split(","))


def _port(word: str) -> Port:
    protocol, _, number = word.partition("/")
    if protocol.lower() not in ("tcp", "udp") or not _is_port(number):
        raise ValueMistakeError(f"found {word!r}; expected tcp/PORT or udp/PORT, with commas")
    return Port(Protocol[protocol.upper()], int(number))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65_535


def _set_key(draft: Draft, value: str) -> None:
    draft.key = _new_key(draft.key, _plain(value), LONGEST_KEY)


def _set_key_base64(draft: Draft, value: str) -> None:
    draft.key = _new_key(draft.key, _decoded(value), LONGEST_KEY)


def _set_hmac_key(draft: Draft, value: str) -> None:
    draft.hmac_key = _new_key(draft.hmac_key, _plain(value), LONGEST_HMAC_KEY)


def _set_hmac_key_base64(draft: Draft, value: str) -> None:
    draft.hmac_key = _new_key(draft.hmac_key, _decoded(value), LONGEST_HMAC_KEY)


def _plain(value: str) -> bytes:
    if value == _PLACEHOLDER_KEY:
        raise ValueMistakeError("the key has still to be filled in")
    return value.encode("utf-8", "surrogateescape")


def _decoded(value: str) -> bytes:
    if value == _PLACEHOLDER_KEY:
        raise ValueMistakeError("the key has still to be filled in")
    try:
        octets = binascii.a2b_base64(value.encode("ascii"))
    except ValueError:  # binascii.Error is one
        raise ValueMistakeError("the key is not base64") from None
    if binascii.b2a_base64(octets, newline=False).rstrip(b"=").decode() != value.rstrip("="):
        raise ValueMistakeError("the key is not base64")
    return octets


def _new_key(before: Secret | None, octets: bytes, most: int) -> Secret:
    if before is not None:
        raise ValueMistakeError("there is such a key already for this SOURCE")
    if not 1 <= len(octets) <= most:
        raise ValueMistakeError(f"the key has {len(octets)} octets; expected 1 to {most}")
    return Secret(octets)


def _set_hmac_digest(draft: Draft, value: str) -> None:
    known = {digest.value: digest for digest in Digest}
    if value.lower() not in known:
        raise ValueMistakeError(f"found {value!r}; expected {', '.join(known)}")
    draft.hmac_digest = known[value.lower()]


def _set_mode(draft: Draft, value: str) -> None:
    if value.upper() != "CBC":
        raise ValueMistakeError(f"found {value!r}; no mode but CBC is supported")


def _set_open_for(draft: Draft, value: str) -> None:
    draft.open_for = _number(value, 0, _MOST_SECONDS) or draft.open_for


def _set_longest(draft: Draft, value: str) -> None:
    draft.longest = _number(value, 1, _MOST_SECONDS)


def _set_timer(draft: Draft, value: str) -> None:
    draft.timer = _number(value, 1, _MOST_SECONDS)


def _set_expires_epoch(draft: Draft, value: str) -> None:
    draft.expires = _earlier(draft.expires, _number(value, 1, 10**11))


def _set_expires(draft: Draft, value: str) -> None:
    words = value.split("/")
    try:
        if len(words) != 3 or not all(word.isascii() and word.isdigit() for word in words):
            raise ValueError(value)
        month, day, year = map(int, words)
        # The day's beginning, by UTC, as nobody says whose day it is.
        midnight = datetime(year, month, day, tzinfo=timezone.utc)
    except ValueError:
        raise ValueMistakeError(f"found {value!r}; expected a day like 12/31/2030") from None
    draft.expires = _earlier(draft.expires, int(midnight.timestamp()))


def _earlier(before: int | None, date: int) -> int:
    return date if before is None else min(before, date)


def _number(value: str, low: int, high: int) -> int:
    if (
        not (value.isascii() and value.isdigit())
        or len(value) > 12
        or not low <= int(value) <= high
    ):
        raise ValueMistakeError(f"found {value!r}; expected a number from {low} to {high}")
    return int(value)


def _set_needs_address(draft: Draft, value: str) -> None:
    draft.needs_address = draft.needs_address or is_yes(value)


def _set_user(draft: Draft, value: str) -> None:
    draft.user = value


def _set_forced_nat(draft: Draft, value: str) -> None:
    host, _, port = value.partition(" ")
    try:
        address = str(ip_address(host))
    except ValueError:
        address = ""
    if not address or not _is_port(port.strip()):
        raise ValueMistakeError(f"found {value!r}; expected an address, a blank and a port")
    draft.forced_nat = Nat(address, int(port.strip()))


def _set_opening(draft: Draft, value: str) -> None:
    draft.opening = _command(value)


def _set_closing(draft: Draft, value: str) -> None:
    draft.closing = None if value.upper() == "NONE" else _command(value)


def _command(value: str) -> str:
    if len(value.encode("utf-8", "surrogateescape")) > _COMMAND_BYTES:
        raise ValueMistakeError(f"expected a command of at most {_COMMAND_BYTES} bytes")
    return value


def is_yes(value: str) -> bool:
    """As fwknopd reads Y and N."""
    return value[:1] in ("Y", "y")


VALUES: dict[str, Callable[[Draft, str], None]] = {
    "SOURCE": _set_sources,
    "DESTINATION": _set_destinations,
    "OPEN_PORTS": _set_open_ports,
    "RESTRICT_PORTS": _set_restricted_ports,
    "KEY": _set_key,
    "KEY_BASE64": _set_key_base64,
    "HMAC_KEY": _set_hmac_key,
    "HMAC_KEY_BASE64": _set_hmac_key_base64,
    "HMAC_DIGEST_TYPE": _set_hmac_digest,
    "ENCRYPTION_MODE": _set_mode,
    "FW_ACCESS_TIMEOUT": _set_open_for,
    "MAX_FW_TIMEOUT": _set_longest,
    "REQUIRE_SOURCE_ADDRESS": _set_needs_address,
    "REQUIRE_SOURCE": _set_needs_address,
    "REQUIRE_USERNAME": _set_user,
    "ACCESS_EXPIRE": _set_expires,
    "ACCESS_EXPIRE_EPOCH": _set_expires_epoch,
    "CMD_CYCLE_OPEN": _set_opening,
    "CMD_CYCLE_CLOSE": _set_closing,
    "CMD_CYCLE_TIMER": _set_timer,
    "FORCE_NAT": _set_forced_nat,
}
