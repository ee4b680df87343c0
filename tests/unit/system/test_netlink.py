"""Netlink's bytes."""

from __future__ import annotations

import subprocess
import sys
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
from tests.support.lab import ROOT


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


# --- a machine of the other byte order ---

# Here struct's own order, "=", is turned round before anything of ours is loaded. What is read and
# written otherwise than by struct stands out.
MACHINE = """
import struct, sys
other = ">" if sys.byteorder == "little" else "<"
turned = lambda form: form.replace("=", other)
Real = struct.Struct
class Struct:
    def __new__(cls, form):
        # "@" is how C lays out a struct, which is not tried here.
        assert form[0] in "=!@" or not set(form) & set("hHiIlLqQ"), form
        return Real(turned(form))
real_pack, struct.pack, struct.Struct = struct.pack, (lambda f, *v: real_pack(turned(f), *v)), Struct
pack = real_pack

from pyknockd.system import netlink
from pyknockd.firewall.nft import netlink as nft
from pyknockd.capture import rtnetlink

def attribute(kind, value):
    return pack(other + "HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)

def message(kind, body):
    return pack(other + "IHHII", 16 + len(body), kind, 2, 7, 99) + body

sent = []
class Socket:
    def __init__(self, *arguments): pass
    def __enter__(self): return self
    def __exit__(self, *error): pass
    def bind(self, address): pass
    def settimeout(self, seconds): pass
    def getsockname(self): return (99, 0)
    def send(self, data): sent.append(data)
    def recv(self, size): return answers.pop(0)
nft.socket.socket = Socket
nfgenmsg = bytes((2, 0, 0, 0))
rule = nfgenmsg + attribute(3, pack(">Q", 0x123)) + attribute(4, b"expressions")
done = message(3, pack(other + "i", 0))

reader = nft.Reader()
reader._sequence = 6
answers = [message(0x0A0F, nfgenmsg + attribute(1, pack(">I", 0x1234)))]
assert reader.generation() == 0x1234
assert sent[-1] == pack(other + "IHHII", 20, 0x0A10, 1, 7, 0) + bytes(4)

reader._sequence = 6
answers = [message(0x0A06, rule), done]
(entry,) = reader.rules(2, "filter", "INPUT").entries()
assert (entry.handle, entry.expressions) == (0x123, b"expressions")
assert sent[-1].endswith(attribute(1, b"filter\\0") + attribute(2, b"INPUT\\0"))

reader._sequence = 6
answers = [message(0x0A06, rule) + done]
assert [entry.handle for entry in reader.rules(2, "filter", "INPUT").entries()] == [0x123]

reader._sequence = 6
answers = [message(0x0A03, nfgenmsg + attribute(6, pack(">I", 5)))]
assert reader.users(2, "filter", "mine") == 5

reader._sequence = 6
answers = [message(2, pack(other + "i", -2) + bytes(20))]
try:
    reader.generation()
except nft.NetlinkError as error:
    assert str(error) == "netlink: error 2", error
else:
    raise AssertionError("no error")

loopback = attribute(2, bytes((127, 0, 0, 1)))
answers = [message(20, pack(other + "BBBBI", 2, 8, 0, 0, 0x11) + loopback) + done]
assert rtnetlink.addresses() == {0x11: frozenset((bytes((127, 0, 0, 1)),))}
answers = [message(2, pack(other + "i", -13) + bytes(20))]
try:
    rtnetlink.addresses()
except PermissionError:
    print("alike")
"""


def test_a_kernel_of_the_other_byte_order_is_understood_alike() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MACHINE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "alike\n", done.stderr
