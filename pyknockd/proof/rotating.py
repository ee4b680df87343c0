"""Knocks that a clock changes: the two halves of a TOTP code (RFC 6238) are two ports.

The code 123456 is the ports 20123 and 20456, 12345678 is 21234 and 25678: 20000 and the half, so that
who sees ``123 456`` on a phone can say them. Any authenticator knows the code; SHA-1 and steps of 30
seconds are all that every one of them knows. A person's code is good once, and after it only those of
later steps, so that whoever has watched a knock has nothing. Who guesses is limited: a code is one of
a million, and as many are right as there are steps and persons.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address, ip_network
from urllib.parse import quote

from pyknockd.model.access import Secret

STEP_SECONDS = 30
SHORTEST_SECRET = 16  # octets (RFC 4226, 4: R6)
SECRET = 20  # octets of a new one
_LOWEST_BASE = 1_024
_HIGHEST_PORT = 65_535
_V6_PREFIX = 64  # what one host can have as many addresses of as it likes
_BLANKS = str.maketrans("", "", " \t\n-=")


class SecretError(Exception):
    """What should be a secret is none; the text says why, and nothing of the secret."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a code is turned into ports, and how far clocks may be apart, in steps.

    ``digits`` is 6 or 8, ``base`` what half of them is added to. Raises ValueError.
    """

    digits: int = 6
    base: int = 20_000
    drift: int = 1

    def __post_init__(self) -> None:
        if self.digits not in (6, 8):
            raise ValueError("a code has 6 or 8 digits")
        if not _LOWEST_BASE <= self.base <= _HIGHEST_PORT - self.size + 1:
            most = _HIGHEST_PORT - self.size + 1
            raise ValueError(f"the ports begin at {_LOWEST_BASE} to {most}")
        if not 0 <= self.drift <= 10:
            raise ValueError("clocks may be 0 to 10 steps apart")

    @property
    def size(self) -> int:
        """How many ports there are, from ``base`` on."""
        return 1_000 if self.digits == 6 else 10_000

    def ports(self, code: str) -> Ports:
        """The two ports that say ``code``."""
        half = self.digits // 2
        return Ports(self.base + int(code[:half]), self.base + int(code[half:]))


@dataclass(frozen=True, slots=True)
class Ports:
    """The two ports of a code, in their order."""

    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Person:
    """Who has a secret of his own, under a name that no other has."""

    name: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class Limits:
    """How many wrong codes there may be in a step: of one source, and at the door."""

    per_source: int = 3
    per_door: int = 30


class Wrong(Enum):
    """Why two ports open nothing."""

    CODE = "code"
    USED = "used"  # right, but its step or a later one was used before
    SOURCE_LIMIT = "source-limit"  # not even looked at
    DOOR_LIMIT = "door-limit"


@dataclass(frozen=True, slots=True)
class Accepted:
    """Whose code it was, and of which step: to be kept, and given to the next ``Rotating``."""

    person: str
    step: int


@dataclass(frozen=True, slots=True)
class _Right:
    person: str
    step: int
    ports: Ports


def time_step(now: float) -> int:
    """The step that it is at ``now``, Unix time."""
    return int(now // STEP_SECONDS)


def code(secret: Secret, step: int, digits: int) -> str:
    """The code of a step: RFC 6238 with SHA-1, RFC 4226's truncation."""
    digest = hmac.digest(secret.octets, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**digits:0{digits}}"


def parse_secret(text: str) -> Secret:
    """Base32, as it is shown and typed in: in either case, with blanks. Raises SecretError."""
    letters = text.translate(_BLANKS).upper()
    try:
        octets = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except (binascii.Error, ValueError):
        raise SecretError("the secret is not base32: letters, and digits from 2 to 7") from None
    if len(octets) < SHORTEST_SECRET:
        raise SecretError(
            f"the secret has {len(octets)} octets; expected at least {SHORTEST_SECRET}"
        )
    return Secret(octets)


def secret_text(secret: Secret) -> str:
    """``secret`` in base32, for whoever is to have it."""
    return base64.b32encode(secret.octets).decode().rstrip("=")


def uri(person: Person, issuer: str, digits: int) -> str:
    """What a QR code says to an authenticator. It holds the secret."""
    label = f"{quote(issuer, safe='')}:{quote(person.name, safe='')}"
    text = f"otpauth://totp/{label}?secret={secret_text(person.secret)}"
    text += f"&issuer={quote(issuer, safe='')}"
    # The rest is what every authenticator takes for granted.
    return text if digits == 6 else f"{text}&digits={digits}"


class Rotating:
    """The codes of a door: who may say which, and how often one may guess.

    ``used`` is the last step that each person has used, from before.
    """

    def __init__(
        self,
        people: Iterable[Person],
        scheme: Scheme,
        limits: Limits = Limits(),
        used: Mapping[str, int] | None = None,
    ) -> None:
        self._people = tuple(people)
        self._scheme = scheme
        self._used = dict(used or {})
        self._wrong = _WrongCodes(limits)
        self._codes: dict[int, tuple[_Right, ...]] = {}

    def check(self, ports: Ports, source: str, now: float) -> Accepted | Wrong:
        """Whose code ``ports`` say at ``now``, Unix time. Then no code up to its step is good again.

        To be called for an attempt whose other steps were right: it counts for the limits.
        """
        step = time_step(now)
        limit = self._wrong.limit(source, step)
        if limit is not None:
            return limit
        said = [right for right in self._right(step) if _equal(right.ports, ports)]
        for right in said:
            if right.step > self._used.get(right.person, -1):
                self._used[right.person] = right.step
                return Accepted(right.person, right.step)
        if said:
            return Wrong.USED
        self._wrong.add(source, step)
        return Wrong.CODE

    def _right(self, now: int) -> list[_Right]:
        """Every code that is right in the step ``now``."""
        drift = self._scheme.drift
        steps = [step for step in range(now - drift, now + drift + 1) if step >= 0]
        self._codes = {step: self._codes.get(step) or self._of_step(step) for step in steps}
        return [right for step in steps for right in self._codes[step]]

    def _of_step(self, step: int) -> tuple[_Right, ...]:
        scheme = self._scheme
        return tuple(
            _Right(person.name, step, scheme.ports(code(person.secret, step, scheme.digits)))
            for person in self._people
        )


class _WrongCodes:
    """How many there were in a step, which is kept as long as it lasts: at most the door's limit."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._step = -1
        self._by_network: dict[str, int] = {}

    def limit(self, source: str, step: int) -> Wrong | None:
        """Which limit has been reached for ``source``."""
        if step != self._step:
            self._step = step
            self._by_network.clear()
        if self._by_network.get(_network(source), 0) >= self._limits.per_source:
            return Wrong.SOURCE_LIMIT
        if sum(self._by_network.values()) >= self._limits.per_door:
            return Wrong.DOOR_LIMIT
        return None

    def add(self, source: str, step: int) -> None:
        """One more of ``source``, after ``limit`` was asked for the same step."""
        assert step == self._step
        network = _network(source)
        self._by_network[network] = self._by_network.get(network, 0) + 1


def _network(source: str) -> str:
    if ip_address(source).version == 4:
        return source
    return str(ip_network(f"{source}/{_V6_PREFIX}", strict=False))


def _equal(right: Ports, said: Ports) -> bool:
    """In constant time, as far as Python knows such a thing."""
    return hmac.compare_digest(
        f"{right.first},{right.second}".encode(), f"{said.first},{said.second}".encode()
    )
