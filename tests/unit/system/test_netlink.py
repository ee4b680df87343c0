"""Netlink's bytes."""

from __future__ import annotations

from struct import pack

from hypothesis import given
from hypothesis import strategies as st

from pyknockd.system.netlink import (
    ERROR,
    HEADER,
    Message,
    attribute,
    attribute_list,
    attributes,
    messages,
    text_attribute,
)


def message(kind: int, body: bytes, sequence: int = 7) -> bytes:
    size = HEADER.size + len(body)
    return HEADER.pack(size, kind, 0, sequence, 99) + body + bytes(-len(body) % 4)


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=40))))
def test_attributes_are_read_as_they_were_written(wanted: list[tuple[int, bytes]]) -> None:
    data = b"".join(attribute(kind, value) for kind, value in wanted)
    assert len(data) % 4 == 0
    assert list(attribute_list(data)) == wanted
    assert attributes(data) == dict(wanted)


def test_a_text_ends_with_a_zero() -> None:
    assert attributes(text_attribute(1, "filter")) == {1: b"filter\0"}


def test_whether_an_attribute_is_nested_is_no_part_of_its_type() -> None:
    assert attributes(pack("=HH4s", 8, 0x8000 | 5, b"abcd")) == {5: b"abcd"}


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40))))
def test_the_messages_of_a_datagram_are_told_apart(wanted: list[tuple[int, bytes]]) -> None:
    data = b"".join(message(kind, body) for kind, body in wanted)
    assert list(messages(data)) == [Message(kind, 0, 7, 99, body) for kind, body in wanted]


def test_a_message_that_is_cut_short_ends_the_datagram() -> None:
    whole = message(1, b"abcd")
    assert len(list(messages(whole + whole[:10]))) == 1
    assert list(messages(pack("=IHHII", 3, 1, 0, 0, 0))) == []


def test_an_error_is_told_as_errno() -> None:
    (told,) = messages(message(ERROR, pack("=i", -2)))
    assert told.error() == 2
    (none,) = messages(message(ERROR, pack("=i", 0)))
    assert none.error() == 0


@given(st.binary(max_size=100))
def test_any_bytes_come_to_an_end(data: bytes) -> None:
    assert all(isinstance(one.body, bytes) for one in messages(data))
    assert all(0 <= kind <= 0x3FFF for kind, _ in attribute_list(data))
