"""The kernel's own list of nf_tables rules, read over netlink: fast, and byte for byte.

Only reading is done here; changes go through libnftables. Source: linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pyknockd.firewall.nft.chain import NEW_RULE, Chain, Entry, entry
from pyknockd.system.netlink import (
    DONE,
    DUMP,
    DUMP_INTERRUPTED,
    ERROR,
    HEADER,
    REQUEST,
    Message,
    attributes,
    messages,
    text_attribute,
)

_NETFILTER = 12  # NETLINK_NETFILTER
_GET_CHAIN, _GET_RULE, _NEW_GENERATION, _GET_GENERATION = (
    10 << 8 | number for number in (4, 7, 15, 16)
)
_DONE_SIZE = 20
_DONE_START = struct.pack("=IHH", _DONE_SIZE, DONE, 2)  # with NLM_F_MULTI
_TABLE, _CHAIN = 1, 2  # NFTA_RULE_*
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_USE = 1, 3, 4, 6  # NFTA_CHAIN_*
_ADDRESS_BYTES = {2: 4, 10: 16}  # by NFPROTO_*
_GENERATION_ID = 1  # NFTA_GEN_ID
_BUFFER = 1 << 20
_ATTEMPTS = 5
_PATIENCE_SECONDS = 2.0  # no answer for so long is none
_SOL_NETLINK, _ADD_MEMBERSHIP, _DROP_MEMBERSHIP, _CHANGES = 270, 1, 2, 7  # NFNLGRP_NFTABLES

_HEADER = struct.Struct("=IHHIIBBH")  # nlmsghdr, nfgenmsg


class NetlinkError(Exception):
    """The kernel does not tell."""


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody has changed at once: the generation it made, and the rules that were added."""

    generation: int
    added: tuple[Entry, ...]


class Reader:
    """A netlink socket of the network namespace that it is made in."""

    def __init__(self) -> None:
        """Raises NetlinkError."""
        try:
            kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
            self._socket = socket.socket(socket.AF_NETLINK, kind, _NETFILTER)
            self._socket.settimeout(_PATIENCE_SECONDS)
            self._socket.bind((0, 0))
        except OSError as error:
            raise NetlinkError(f"netlink: {error.strerror}") from error
        self._sequence = 0
        self._port: int = self._socket.getsockname()[0]

    def close(self) -> None:
        self._socket.close()

    def generation(self) -> int:
        """A number that every change of any nf_tables rule, by anybody, increases by one."""
        for message in self._ask(_GET_GENERATION, 0, b""):
            if message.kind == _NEW_GENERATION:
                return _generation(message.body)
        raise NetlinkError("netlink: no generation")

    def rules(self, family: int, table: str, chain: str) -> Chain:
        """The rules of one chain; none if there is no such chain."""
        wanted = text_attribute(_TABLE, table) + text_attribute(_CHAIN, chain)
        for _ in range(_ATTEMPTS):
            try:
                return Chain(list(self._dump(_GET_RULE, family, wanted)), _ADDRESS_BYTES[family])
            except InterruptedError:  # the table was changed while it was being read
                continue
        raise NetlinkError("netlink: the rules are being changed all the time")

    def has_rules(self) -> bool:
        """Whether there is any rule, in a table of whatever family."""
        try:
            answers = list(self._dump(_GET_RULE, 0, b""))
            return any(one.kind == NEW_RULE for data in answers for one in messages(data))
        except InterruptedError:
            return True

    def users(self, family: int, table: str, chain: str) -> int | None:
        """How many rules there are in a chain and leading to it; None for a chain of the kernel's.

        Raises NetlinkError if there is no such chain.
        """
        wanted = text_attribute(_CHAIN_TABLE, table) + text_attribute(_CHAIN_NAME, chain)
        for message in self._ask(_GET_CHAIN, family, wanted):
            found = attributes(message.body[4:])
            if _CHAIN_HOOK not in found:
                return int.from_bytes(found[_CHAIN_USE], "big")
        return None

    def listen(self, on: bool) -> None:
        """Be told of changes from now on, or no longer. The caller's own are told like others."""
        self.changes()  # what was told in the last moment before
        option = _ADD_MEMBERSHIP if on else _DROP_MEMBERSHIP
        try:
            self._socket.setsockopt(_SOL_NETLINK, option, _CHANGES)
        except OSError as error:
            raise NetlinkError(f"netlink: {error.strerror}") from error

    def changes(self) -> list[Change]:
        """The changes told of since the last call, whoever made them; none if some were missed."""
        told: list[Message] = []
        self._socket.setblocking(False)
        try:
            while True:
                told += messages(self._socket.recv(_BUFFER))
        except BlockingIOError:
            pass
        except OSError:
            return []
        finally:
            self._socket.settimeout(_PATIENCE_SECONDS)
        changes: list[Change] = []
        added: list[Entry] = []
        for message in told:
            if message.kind == NEW_RULE:
                added.append(entry(message.body))
            elif message.kind == _NEW_GENERATION:
                changes.append(Change(_generation(message.body), tuple(added)))
                added = []
        return changes

    def _ask(self, kind: int, family: int, body: bytes) -> Iterator[Message]:
        """The one message that answers. Raises NetlinkError."""
        for data in self._send(kind, family, body, REQUEST):
            for message in messages(data):
                if self._is_answer(message):
                    yield message
                    return

    def _dump(self, kind: int, family: int, body: bytes) -> Iterator[bytes]:
        """The messages that answer, as they come, several at a time. Raises InterruptedError."""
        for data in self._send(kind, family, body, REQUEST | DUMP):
            _, got, flags, sequence, port = HEADER.unpack_from(data)
            if (sequence, port) != (self._sequence, self._port):
                continue
            if flags & DUMP_INTERRUPTED:  # said of the first message after the change
                raise InterruptedError
            if got == DONE:
                return
            if self._is_answer(next(messages(data))):
                yield data
            if data[-_DONE_SIZE:].startswith(_DONE_START):
                return  # the kernel may put the end into the last piece

    def _send(self, kind: int, family: int, body: bytes, flags: int) -> Iterator[bytes]:
        self._sequence += 1
        size = _HEADER.size + len(body)
        head = _HEADER.pack(size, kind, flags, self._sequence, 0, family, 0, 0)
        try:
            self._socket.send(head + body)
            while True:
                yield self._socket.recv(_BUFFER)
        except InterruptedError:
            raise
        except OSError as error:
            raise NetlinkError(f"netlink: {error.strerror or error}") from error

    def _is_answer(self, message: Message) -> bool:
        if (message.sequence, message.port) != (self._sequence, self._port):
            return False  # word of somebody's change
        if message.kind == ERROR:
            raise NetlinkError(f"netlink: error {message.error()}")
        return True


def _generation(body: bytes) -> int:
    return int.from_bytes(attributes(body[4:]).get(_GENERATION_ID, b""), "big")
