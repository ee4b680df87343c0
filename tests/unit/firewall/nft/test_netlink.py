"""The rules of a chain as the kernel tells them, without asking it."""

from __future__ import annotations

from struct import pack

from pyknockd.firewall.nft.netlink import Chain, Entry
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
    return Chain([b"".join(rules[at : at + 2]) for at in range(0, len(rules), 2)])


def test_the_rules_are_told_in_their_order() -> None:
    entries = chain(4, 5, 9).entries()
    assert entries == [Entry(4, b"rule 4"), Entry(5, b"rule 5"), Entry(9, b"rule 9")]


def test_what_is_no_rule_is_left_out() -> None:
    answers = [told(NEW_GENERATION, 1, b"") + told(NEW_RULE, 7, b"x")]
    assert [entry.handle for entry in Chain(answers).entries()] == [7]


def test_what_was_added_stands_where_it_was_put() -> None:
    found = chain(4, 5)
    found.prepend(Entry(6, b"first"))
    found.append(Entry(7, b"last"))
    found.prepend(Entry(8, b"before all"))
    assert [entry.handle for entry in found.entries()] == [8, 6, 4, 5, 7]
    found.prepend(Entry(9, b"once more"))
    assert [entry.handle for entry in found.entries()] == [9, 8, 6, 4, 5, 7]


def test_bytes_are_looked_for_in_what_was_told_and_what_was_added() -> None:
    found = chain(4, 5)
    found.prepend(Entry(6, b"first"))
    found.append(Entry(7, b"last"))
    for needle in (b"rule 4", b"first", b"last"):
        assert found.may_contain(needle)
    assert not found.may_contain(b"rule 6")
    assert len(found.entries()) == 4
    assert found.may_contain(b"rule 5")
    assert not found.may_contain(b"rule 6")


def test_a_chain_that_is_not_there_has_no_rules() -> None:
    assert Chain([]).entries() == []
    assert not Chain([]).may_contain(b"x")
