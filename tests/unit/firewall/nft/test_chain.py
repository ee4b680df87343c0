"""The rules of a chain as the kernel tells them, without asking it."""

from __future__ import annotations

from struct import pack

import pytest

from pyknockd.firewall.nft.chain import Chain, Entry
from pyknockd.system.netlink import HEADER, attribute

NEW_RULE, NEW_GENERATION = 10 << 8 | 6, 10 << 8 | 15  # linux/netfilter/nf_tables.h
HANDLE, EXPRESSIONS = 3, 4


def told(kind: int, handle: int, expressions: bytes) -> bytes:
    """A message of the kernel's: behind its header that of netfilter, then attributes."""
    body = bytes((2, 0, 0, 0)) + attribute(HANDLE, pack("!Q", handle))
    body += attribute(EXPRESSIONS, expressions)
    return HEADER.pack(HEADER.size + len(body), kind, 0, 1, 1) + body


def chain(*handles: int) -> Chain:
    """As it comes: two messages to a piece."""
    rules = [told(NEW_RULE, number, b"rule %d" % number) for number in handles]
    return Chain([b"".join(rules[at : at + 2]) for at in range(0, len(rules), 2)], 4)


def test_the_rules_are_told_in_their_order() -> None:
    entries = chain(4, 5, 9).entries()
    assert entries == [Entry(4, b"rule 4"), Entry(5, b"rule 5"), Entry(9, b"rule 9")]


def test_what_is_no_rule_is_left_out() -> None:
    answers = [told(NEW_GENERATION, 1, b"") + told(NEW_RULE, 7, b"x")]
    assert [entry.handle for entry in Chain(answers, 4).entries()] == [7]


def test_what_was_added_stands_where_it_was_put() -> None:
    found = chain(4, 5)
    found.prepend(Entry(6, b"first"))
    found.append(Entry(7, b"the last"))
    found.prepend(Entry(8, b"before all"))
    assert [entry.handle for entry in found.entries()] == [8, 6, 4, 5, 7]
    found.prepend(Entry(9, b"once more"))
    assert [entry.handle for entry in found.entries()] == [9, 8, 6, 4, 5, 7]


def handles(found: Chain, needle: bytes) -> list[int]:
    return [entry.handle for entry in found.containing(needle)]


def test_bytes_are_looked_for_in_what_was_told_and_what_was_added() -> None:
    found = chain(4, 5)
    found.prepend(Entry(6, b"first"))
    found.append(Entry(7, b"the last"))
    for needle, handle in ((b"rule 4", 4), (b"first", 6), (b"the last", 7)):
        assert handles(found, needle) == [handle]
    assert handles(found, b"rule 6") == []
    assert handles(found, b"") == [6, 4, 5, 7]


@pytest.mark.parametrize("asked_before", [False, True])
def test_an_address_is_found_where_a_rule_compares_something_with_it(asked_before: bool) -> None:
    rules = [told(NEW_RULE, number, compares(bytes((10, 0, 0, number)))) for number in (1, 2, 1)]
    rules[2] = told(NEW_RULE, 3, compares(bytes((10, 0, 0, 1))))
    found = Chain([b"".join(rules)], 4)
    found.prepend(Entry(8, compares(bytes((10, 0, 0, 1)), nested=0)))
    found.append(Entry(9, compares(bytes((10, 0, 0, 2)))))
    if asked_before:
        assert handles(found, bytes((10, 0, 0, 9))) == []
    assert handles(found, bytes((10, 0, 0, 1))) == [8, 1, 3]
    assert handles(found, bytes((10, 0, 0, 2))) == [2, 9]
    found.remove(found.containing(bytes((10, 0, 0, 1)))[0])
    found.insert(2, Entry(10, compares(bytes((10, 0, 0, 1)))))
    assert [entry.handle for entry in found] == [1, 2, 10, 3, 9]
    assert handles(found, bytes((10, 0, 0, 1))) == [1, 10, 3]


def compares(value: bytes, nested: int = 0x8000) -> bytes:
    """An expression that compares a register with ``value``."""
    data = attribute(1, pack("!I", 1)) + attribute(2, pack("!I", 0))
    data += attribute(nested | 3, attribute(1, value))
    return attribute(1, attribute(1, b"cmp\0") + attribute(2, data))


def test_what_was_removed_is_found_no_more() -> None:
    found = chain(4, 5)
    found.remove(found.containing(b"rule 4")[0])
    found.prepend(Entry(6, b"first"))
    found.remove(Entry(6, b"first"))
    assert [entry.handle for entry in found] == [5]
    assert handles(found, b"rule 4") == []


def test_a_chain_that_is_not_there_has_no_rules() -> None:
    assert Chain([], 4).entries() == []
    assert Chain([], 4).containing(b"x") == []
