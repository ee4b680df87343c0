"""SPA packets as octets: the payload of one datagram ↔ what it says.

    payload = base64("Salted__" + salt + ciphertext) without its first ten characters, + HMAC
    text    = random:user:time:version:type:message[:nat][:authentication][:timeout]:digest

Base64 is without padding throughout, and in one form only: where two texts meant the same octets, one
packet could be made to look like two. The HMAC is over the base64 text with the ten characters. The
digest is over all in front of it; its length tells which it is.
"""

from __future__ import annotations

import binascii
import hmac
import re
from dataclasses import dataclass, field
from enum import Enum
from hashlib import new

from pyknockd.model.access import Digest, Keys, MessageType, Nat
from pyknockd.proof import spa_crypto

FEWEST_OCTETS, MOST_OCTETS = 140, 1_499
_PREFIX = b"U2FsdGVkX1"  # the beginning of base64(_MAGIC), which everybody knows and nobody sends
_MAGIC = b"Salted__"
_SHORTEST_BODY = 36  # characters in front of the HMAC
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_VERSION = "3.0.0"
_RANDOM_DIGITS = 16
_TIME_DIGITS = 12
_MOST_TIMEOUT = 131_072  # seconds; what is longer than an access allows is cut down later
_LONGEST_VERSION = 8
_LONGEST_USER, _LONGEST_MESSAGE, _LONGEST_NAT, _LONGEST_AUTHENTICATION = 64, 255, 78, 192  # octets
# A name or an address. What a shell would read as anything else is none.
_HOST = re.compile(r"[A-Za-z0-9:][A-Za-z0-9.:_-]{0,69}")
_FIXED_FIELDS = 6
_DIGEST_BY_SIZE = {
    22: (Digest.MD5,),
    27: (Digest.SHA1,),
    43: (Digest.SHA256, Digest.SHA3_256),
    64: (Digest.SHA384,),
    86: (Digest.SHA512, Digest.SHA3_512),
}
_OCTETS = {
    Digest.MD5: 16,
    Digest.SHA1: 20,
    Digest.SHA256: 32,
    Digest.SHA384: 48,
    Digest.SHA512: 64,
    Digest.SHA3_256: 32,
    Digest.SHA3_512: 64,
}


class Part(Enum):
    """What of a packet is not as it is in packets. KEY: nothing, it needs another encryption key."""

    LENGTH = "length"
    BASE64 = "base64"
    KEY = "encryption key"
    DIGEST = "digest"
    CHARACTERS = "characters"
    FIELDS = "number of fields"
    RANDOM = "random number"
    USER = "user"
    TIME = "time"
    VERSION = "version"
    TYPE = "type"
    MESSAGE = "message"
    NAT = "NAT"
    TIMEOUT = "timeout"


class MalformedError(Exception):
    """A packet of somebody who has the HMAC key is not as packets are."""

    def __init__(self, part: Part) -> None:
        super().__init__(part.value)
        self.part = part


@dataclass(frozen=True, slots=True)
class Message:
    """What a packet says. ``random`` are 16 digits, ``stamped`` is Unix time, by the client's clock.

    ``text`` is ``ADDRESS,REQUEST``, ``timeout`` seconds, 0 for "as the server likes".
    """

    random: str
    user: str
    stamped: int
    kind: MessageType
    text: str
    nat: Nat | None = None
    timeout: int = 0


@dataclass(frozen=True, slots=True)
class Body:
    """The encrypted part: 8 octets and whole blocks."""

    salt: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class HmacCheck:
    """Tells whose packets are made with one HMAC key, whose state is kept: keying is half the work."""

    state: hmac.HMAC = field(repr=False)
    size: int

    def fits(self, payload: bytes) -> bool:
        """Whether ``payload``, which has at least FEWEST_OCTETS, ends with the HMAC of the rest."""
        state = self.state.copy()
        state.update(_PREFIX + payload[: -self.size])
        return hmac.compare_digest(_base64(state.digest()), payload[-self.size :])


def hmac_check(keys: Keys) -> HmacCheck:
    """What checks packets made with ``keys``."""
    state = hmac.new(keys.hmac.octets, None, keys.hmac_digest.value)
    return HmacCheck(state, len(_base64(bytes(_OCTETS[keys.hmac_digest]))))


def may_be_one(payload: bytes) -> bool:
    """Whether ``payload`` is of a fitting length, base64, and without what clients leave out."""
    return (
        FEWEST_OCTETS <= len(payload) <= MOST_OCTETS
        and not payload.translate(None, _ALPHABET)
        and not payload.startswith(_PREFIX)
    )


def body_of(payload: bytes, check: HmacCheck) -> Body:
    """The encrypted part of a payload whose HMAC is right. Raises MalformedError."""
    text = payload[: -check.size]
    if len(text) < _SHORTEST_BODY:
        raise MalformedError(Part.LENGTH)
    octets = _octets(_PREFIX + text, Part.BASE64)
    if not octets.startswith(_MAGIC) or len(octets) % spa_crypto.BLOCK:
        raise MalformedError(Part.LENGTH)
    begin = len(_MAGIC) + spa_crypto.SALT
    return Body(octets[len(_MAGIC) : begin], octets[begin:])


def read(body: Body, keys: Keys) -> Message:
    """What ``body`` says. Raises MalformedError, spa_crypto.CryptoMissingError."""
    try:
        plaintext = spa_crypto.decrypt(keys.encryption.octets, body.salt, body.ciphertext)
    except spa_crypto.CipherError:
        raise MalformedError(Part.KEY) from None
    return parse(plaintext)


def parse(plaintext: bytes) -> Message:
    """What a decrypted text says. Raises MalformedError."""
    fields_text, _, digest = plaintext.rpartition(b":")
    kinds = _DIGEST_BY_SIZE.get(len(digest), ())
    if not any(_digest(kind, fields_text) == digest for kind in kinds):
        raise MalformedError(Part.DIGEST)
    try:
        fields = fields_text.decode("ascii").split(":")
    except UnicodeDecodeError:
        raise MalformedError(Part.CHARACTERS) from None
    if len(fields) < _FIXED_FIELDS:
        raise MalformedError(Part.FIELDS)
    random, user, stamped, version, kind_digit, text = fields[:_FIXED_FIELDS]
    if len(random) != _RANDOM_DIGITS or not random.isdigit():
        raise MalformedError(Part.RANDOM)
    if len(version) > _LONGEST_VERSION or not version.isprintable():
        raise MalformedError(Part.VERSION)
    kind = _kind(kind_digit)
    rest = fields[_FIXED_FIELDS:]
    timeout = _taken(rest, -1, Part.TIMEOUT) if kind.has_timeout else "0"
    nat = _taken(rest, 0, Part.NAT) if kind.has_nat else None
    if len(rest) > 1 or (rest and len(rest[0]) > _LONGEST_AUTHENTICATION * 4 // 3):
        raise MalformedError(Part.FIELDS)
    return Message(
        random,
        _text(user, _LONGEST_USER, Part.USER),
        _number(stamped, _TIME_DIGITS, Part.TIME),
        kind,
        _text(text, _LONGEST_MESSAGE, Part.MESSAGE, any_character=kind is MessageType.COMMAND),
        None if nat is None else _nat(nat),
        _timeout(timeout),
    )


def encode(message: Message, keys: Keys, salt: bytes, digest: Digest = Digest.SHA256) -> bytes:
    """The payload that says ``message``. ``salt`` are 8 random octets, never used before.

    Raises ValueError for what no server would take, spa_crypto.CryptoMissingError.
    """
    if len(salt) != spa_crypto.SALT:
        raise ValueError(f"a salt has {spa_crypto.SALT} octets")
    plaintext = _plaintext(message, digest)
    try:
        same = parse(plaintext) == message
    except MalformedError as error:
        raise ValueError(f"no such packet can be made: {error}") from None
    if not same:
        raise ValueError("no such packet can be made")
    ciphertext = spa_crypto.encrypt(keys.encryption.octets, salt, plaintext)
    body = _base64(_MAGIC + salt + ciphertext)
    code = hmac.digest(keys.hmac.octets, body, keys.hmac_digest.value)
    payload = body[len(_PREFIX) :] + _base64(code)
    if not FEWEST_OCTETS <= len(payload) <= MOST_OCTETS:
        raise ValueError("no such packet can be made: length")
    return payload


def _plaintext(message: Message, digest: Digest) -> bytes:
    fields = [
        message.random.encode(),
        _base64(_encoded(message.user)),
        b"%d" % message.stamped,
        _VERSION.encode(),
        b"%d" % message.kind.value,
        _base64(_encoded(message.text)),
    ]
    if message.nat is not None:
        fields.append(_base64(f"{message.nat.host},{message.nat.port}".encode()))
    if message.kind.has_timeout:
        fields.append(b"%d" % message.timeout)
    text = b":".join(fields)
    return text + b":" + _digest(digest, text)


def _digest(kind: Digest, text: bytes) -> bytes:
    """It keeps nothing secret and proves nothing: also where only strong ones may be used for that."""
    return _base64(new(kind.value, text, usedforsecurity=False).digest())


def _kind(digit: str) -> MessageType:
    try:
        return MessageType(_number(digit, 1, Part.TYPE))
    except ValueError:
        raise MalformedError(Part.TYPE) from None


def _taken(fields: list[str], place: int, part: Part) -> str:
    if not fields:
        raise MalformedError(part)
    return fields.pop(place)


def _number(text: str, digits: int, part: Part) -> int:
    if not text.isdigit() or len(text) > digits:
        raise MalformedError(part)
    return int(text)


def _timeout(text: str) -> int:
    seconds = _number(text, len(str(_MOST_TIMEOUT)), Part.TIMEOUT)
    if seconds > _MOST_TIMEOUT:
        raise MalformedError(Part.TIMEOUT)
    return seconds


def _nat(field_text: str) -> Nat:
    host, comma, port = _text(field_text, _LONGEST_NAT, Part.NAT).partition(",")
    if not comma or _HOST.fullmatch(host) is None:
        raise MalformedError(Part.NAT)
    number = _number(port, 5, Part.NAT)
    if not 1 <= number <= 65_535:
        raise MalformedError(Part.NAT)
    return Nat(host, number)


def _text(field_text: str, most: int, part: Part, *, any_character: bool = False) -> str:
    octets = _octets(field_text.encode(), part)
    text = octets.decode("utf-8", "surrogateescape")
    if len(octets) > most or not (any_character or _is_harmless(text)):
        raise MalformedError(part)
    return text


def _is_harmless(text: str) -> bool:
    return all(character >= " " and not "\x7f" <= character <= "\x9f" for character in text)


def _octets(text: bytes, part: Part) -> bytes:
    """What unpadded base64 stands for, if it is the one text that does. Raises MalformedError."""
    try:
        octets = binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        raise MalformedError(part) from None
    if _base64(octets) != text:
        raise MalformedError(part)
    return octets


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _base64(octets: bytes) -> bytes:
    return binascii.b2a_base64(octets, newline=False).rstrip(b"=")
