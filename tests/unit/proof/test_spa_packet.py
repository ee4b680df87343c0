"""SPA packets: octets ↔ what they say."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pyknockd.model.access import Digest, Keys, MessageType, Nat, Secret
from pyknockd.proof.spa_packet import (
    MalformedError,
    Message,
    Part,
    body_of,
    encode,
    hmac_check,
    may_be_one,
    parse,
    read,
)
from tests.support.spa import FROM_CLIENT, KEYS, NOW, OTHER_KEYS, SALT, message, packet, vectors

pytest.importorskip("cryptography", reason="needs python3-cryptography")

SAFE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
MESSAGES = st.builds(
    Message,
    st.from_regex(r"\A[0-9]{16}\Z"),
    SAFE,
    st.integers(0, 10**12 - 1),
    st.sampled_from(MessageType),
    SAFE,
)


def decoded(payload: bytes, keys: Keys = KEYS) -> Message:
    check = hmac_check(keys)
    assert may_be_one(payload) and check.fits(payload)
    return read(body_of(payload, check), keys)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode().rstrip("=")


def plaintext(*fields: str, digest: Callable[[bytes], bytes] | None = None) -> bytes:
    """A text with its digest, SHA-256 where none is given."""
    text = ":".join(fields).encode("latin-1")
    octets = digest(text) if digest else hashlib.sha256(text).digest()
    return text + b":" + base64.b64encode(octets).rstrip(b"=")


FIELDS = ("0123456789012345", b64("alice"), str(NOW), "3.0.0", "1", b64("0.0.0.0,tcp/22"))


def with_field(place: int, text: str) -> tuple[str, ...]:
    return (*FIELDS[:place], text, *FIELDS[place + 1 :])


@given(MESSAGES, st.sampled_from(Digest), st.sampled_from(Digest))
def test_what_is_encoded_is_decoded(said: Message, digest: Digest, hmac_digest: Digest) -> None:
    if said.kind.has_nat:
        said = replace(said, nat=Nat("10.0.3.4", 22))
    if said.kind.has_timeout:
        said = replace(said, timeout=131_072)
    keys = replace(KEYS, hmac_digest=hmac_digest)
    try:
        payload = encode(said, keys, SALT, digest)
    except ValueError as error:
        assume("length" not in str(error))
        raise
    assert decoded(payload, keys) == said


def test_packets_of_a_client_are_read_and_made_octet_for_octet() -> None:
    for payload in FROM_CLIENT.values():
        said = decoded(payload)
        assert (said.user, said.stamped) == ("alice", NOW)
        salt = body_of(payload, hmac_check(KEYS)).salt
        assert encode(said, KEYS, salt) == payload


def test_packets_of_real_clients_are_read_and_made_octet_for_octet() -> None:
    count = 0
    for vector in vectors().good:
        if vector.keys is None:
            continue
        said, expected = decoded(vector.payload, vector.keys), vector.expected
        nat = f"{said.nat.host},{said.nat.port}" if said.nat else None
        fields = (said.random, said.user, said.stamped, said.kind.value, said.text, said.timeout)
        names = ("random", "username", "timestamp", "message_type", "message", "client_timeout")
        assert [*fields, nat] == [*(expected[name] for name in names), expected["nat_access"]]
        salt = body_of(vector.payload, hmac_check(vector.keys)).salt
        digest = Digest(expected["digest_type"])
        assert encode(said, vector.keys, salt, digest) == vector.payload
        count += 1
    assert count >= 11


@pytest.mark.parametrize("length", [0, 139, 1_500, 65_507])
def test_too_short_or_too_long_is_none(length: int) -> None:
    assert not may_be_one(b"A" * length)
    assert may_be_one(b"A" * 140) and may_be_one(b"A" * 1_499)


@pytest.mark.parametrize("octet", [b"=", b"\n", b"\0", b"-", b"_", b" ", b"\xff"])
def test_what_is_not_base64_or_padded_is_none(octet: bytes) -> None:
    payload = packet()
    assert may_be_one(payload)
    assert not may_be_one(payload + octet)
    assert not may_be_one(payload[:50] + octet + payload[51:])


def test_the_beginning_that_clients_leave_out_must_not_be_there() -> None:
    assert not may_be_one(b"U2FsdGVkX1" + packet())


def test_the_hmac_tells_whose_packet_it_is() -> None:
    payload = packet()
    assert hmac_check(KEYS).fits(payload)
    assert not hmac_check(OTHER_KEYS).fits(payload)
    for digest in set(Digest) - {Digest.SHA256}:
        assert not hmac_check(replace(KEYS, hmac_digest=digest)).fits(payload)


def test_another_encryption_key_is_told() -> None:
    keys = Keys(OTHER_KEYS.encryption, KEYS.hmac)
    with pytest.raises(MalformedError) as error:
        decoded(packet(), keys)
    assert error.value.part in (Part.KEY, Part.DIGEST)


def test_base64_that_could_be_written_otherwise_is_refused() -> None:
    """Its HMAC is right: whoever made it has the key, and would have two packets of one."""
    body = base64.b64encode(b"Salted__" + SALT + bytes(96)).rstrip(b"=")
    assert body[-1:] == b"A"
    check = hmac_check(KEYS)
    loose = body[:-1] + b"B"
    with pytest.raises(MalformedError) as error:
        body_of(loose.removeprefix(b"U2FsdGVkX1") + b"x" * check.size, check)
    assert error.value.part is Part.BASE64


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        (with_field(0, "012345678901234"), Part.RANDOM),
        (with_field(0, "01234567890123456"), Part.RANDOM),
        (with_field(0, "012345678901234x"), Part.RANDOM),
        (with_field(1, b64("a" * 65)), Part.USER),
        (with_field(1, b64("a\nb")), Part.USER),
        (with_field(1, "YQ=="), Part.USER),
        (with_field(1, "YR"), Part.USER),
        (with_field(2, "-1"), Part.TIME),
        (with_field(2, ""), Part.TIME),
        (with_field(2, "1" * 13), Part.TIME),
        (with_field(3, "3.0.0.0.0"), Part.VERSION),
        (with_field(4, "7"), Part.TYPE),
        (with_field(4, "01"), Part.TYPE),
        (with_field(4, ""), Part.TYPE),
        (with_field(5, b64("a" * 256)), Part.MESSAGE),
        (with_field(5, b64("a\0b")), Part.MESSAGE),
        (with_field(5, "x"), Part.MESSAGE),
        (with_field(4, "2"), Part.NAT),
        ((*with_field(4, "2"), b64("10.0.0.1")), Part.NAT),
        ((*with_field(4, "2"), b64("10.0.0.1,0")), Part.NAT),
        ((*with_field(4, "2"), b64("10.0.0.1,65536")), Part.NAT),
        ((*with_field(4, "2"), b64("10.0.0.1,1,2")), Part.NAT),
        ((*with_field(4, "2"), b64("$(id),1")), Part.NAT),
        ((*with_field(4, "2"), b64("a" * 71 + ",1")), Part.NAT),
        (with_field(4, "3"), Part.TIMEOUT),
        ((*with_field(4, "3"), "131073"), Part.TIMEOUT),
        ((*with_field(4, "3"), "1.5"), Part.TIMEOUT),
        ((*with_field(4, "4"), "5"), Part.NAT),
        ((*FIELDS, b64("auth"), "5"), Part.FIELDS),
        ((*with_field(4, "3"), b64("a"), b64("b"), "5"), Part.FIELDS),
        (FIELDS[:5], Part.FIELDS),
        ((), Part.FIELDS),
        (with_field(3, "3.0\xe9"), Part.CHARACTERS),
    ],
)
def test_what_is_not_as_in_packets_is_told(fields: tuple[str, ...], part: Part) -> None:
    with pytest.raises(MalformedError) as error:
        parse(plaintext(*fields))
    assert error.value.part is part


def test_what_no_client_sends_and_the_format_allows_is_passed_over() -> None:
    said = parse(plaintext(*FIELDS))
    assert parse(plaintext(*FIELDS, b64("authentication"))) == said
    assert parse(plaintext(*with_field(3, "9.9.9"))) == said
    timed = parse(plaintext(*with_field(4, "3"), b64("authentication"), "5"))
    assert timed == replace(said, kind=MessageType.ACCESS_TIMEOUT, timeout=5)


def test_a_command_may_hold_anything() -> None:
    said = parse(plaintext(*with_field(4, "0")[:5], b64("0.0.0.0,a\nb:ü")))
    assert said.kind is MessageType.COMMAND and said.text == "0.0.0.0,a\nb:ü"


@pytest.mark.parametrize("digest", Digest)
def test_the_digest_may_be_of_any_kind_and_must_be_right(digest: Digest) -> None:
    def octets(text: bytes) -> bytes:
        return hashlib.new(digest.value, text).digest()

    assert parse(plaintext(*FIELDS, digest=octets)) == message()
    for wrong in (lambda text: octets(text)[:-1] + b"x", lambda text: octets(text)[:-1]):
        with pytest.raises(MalformedError) as error:
            parse(plaintext(*FIELDS, digest=wrong))
        assert error.value.part is Part.DIGEST


@given(st.binary(max_size=300))
def test_any_octets_in_the_place_of_a_text_are_refused(octets: bytes) -> None:
    with pytest.raises(MalformedError):
        parse(octets)


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=30), max_size=11))
def test_any_fields_with_a_right_digest_are_read_or_refused(fields: list[str]) -> None:
    try:
        parse(plaintext(*fields))
    except MalformedError:
        pass


def test_what_no_server_would_take_is_not_made() -> None:
    for said in (
        replace(message(), user="a" * 65),
        replace(message(), random="1"),
        replace(message(), timeout=5),
        replace(message(), nat=Nat("10.0.0.1", 22)),
        replace(message(), stamped=-1),
    ):
        with pytest.raises(ValueError, match="no such packet"):
            encode(said, KEYS, SALT)
    with pytest.raises(ValueError, match="salt"):
        encode(message(), KEYS, b"short")


def test_keys_are_in_no_text() -> None:
    check = hmac_check(Keys(Secret(b"encryption"), Secret(b"hmac key")))
    assert "hmac key" not in repr(check)
