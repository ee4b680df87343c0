"""hosts.yaml: hosts by name, and groups of them. Text → ``Hosts``, or every mistake with its line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pyknockd.client.arguments import read_ports, read_wait
from pyknockd.client.errands import NAMED_DELAY, ClientError, Errand, Family, Wait
from pyknockd.model import Remark
from pyknockd.system.nodes import (
    Listing,
    Node,
    Remarks,
    Scalar,
    Table,
    compose,
    one_of,
    read_table,
    texts,
    whole_number,
    yes_or_no,
)

_PROOFS = {"sequence": None, "one_time": None}
_FAMILIES = {family.value: family for family in Family}


@dataclass(frozen=True, slots=True)
class Host:
    """What the file says of a host; ``closing`` is empty if it has no sequence that closes."""

    errand: Errand
    closing: tuple[str, ...] = ()
    proof: str = "sequence"


@dataclass(frozen=True, slots=True)
class Group:
    """Names of hosts."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hosts:
    """The whole file; names are there once."""

    hosts: tuple[Host, ...] = ()
    groups: tuple[Group, ...] = ()


@dataclass(slots=True)
class _Draft:
    remarks: Remarks = field(default_factory=Remarks)
    hosts: list[Host] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)


def parse(text: str) -> tuple[Hosts, tuple[Remark, ...]]:
    """The file, usable if there is no remark, and every mistake."""
    draft = _Draft()
    root = compose(text, draft.remarks)
    if root is not None:
        setters = {
            "hosts": lambda node: _read_named(node, "hosts", draft, _read_host),
            "groups": lambda node: _read_named(node, "groups", draft, _read_group),
        }
        read_table(root, setters, "the file", draft.remarks)
    return Hosts(tuple(draft.hosts), tuple(draft.groups)), tuple(draft.remarks.found)


def _read_named(
    node: Node, what: str, draft: _Draft, read: Callable[[str, Node, _Draft], None]
) -> None:
    if not isinstance(node, Table):
        draft.remarks.expected(node, "NAME: and what belongs to it", what)
        return
    seen = set()
    for pair in node.pairs:
        name = pair.key.text if isinstance(pair.key, Scalar) else ""
        if not name or name.startswith(("-", "@")) or not name.isprintable():
            draft.remarks.expected(pair.key, "a name that begins with neither - nor @", what)
        elif name in seen:
            draft.remarks.mistake(pair.key, f"{name} is there twice")
        else:
            read(name, pair.value, draft)
        seen.add(name)


def _read_group(name: str, node: Node, draft: _Draft) -> None:
    members = texts(node, "a list of names", name, draft.remarks)
    known = {host.errand.name for host in draft.hosts}
    for member in members or ():
        if member not in known:
            draft.remarks.mistake(node, f"{name}: no host {member} above it")
    draft.groups.append(Group(name, members or ()))


def _read_host(name: str, node: Node, draft: _Draft) -> None:
    reading = _Reading(draft.remarks, Host(Errand(name, "", (), delay=NAMED_DELAY)))
    before = len(draft.remarks.found)
    read_table(node, reading.setters(), name, draft.remarks)
    host = reading.host
    if len(draft.remarks.found) == before:
        missing = "" if host.errand.host else "address"
        if host.proof == "one_time" and not host.errand.one_time:
            missing = "one_time, the path of a file: its proof is one_time"
        elif host.proof == "sequence" and not host.errand.ports:
            missing = "sequence"
        if missing:
            draft.remarks.mistake(node, f"{name} has no {missing}")
    draft.hosts.append(host)


@dataclass(slots=True)
class _Reading:
    remarks: Remarks
    host: Host

    def setters(self) -> dict[str, Callable[[Node], None]]:
        return {
            "address": lambda node: self._set(host=self._text(node, "address")),
            "sequence": lambda node: self._set(ports=self._sequence(node)),
            "close": self._closing,
            "proof": self._proof,
            "one_time": lambda node: self._set(one_time=self._text(node, "one_time")),
            "delay": self._delay,
            "wait": self._wait,
            "retries": self._retries,
            "family": self._family,
            "connect": self._connect,
        }

    def _set(self, **changes: object) -> None:
        self.host = replace(self.host, errand=replace(self.host.errand, **changes))  # type: ignore[arg-type]

    def _text(self, node: Node, name: str) -> str:
        if isinstance(node, Scalar) and node.text:
            return node.text
        self.remarks.expected(node, "a text", name)
        return ""

    def _sequence(self, node: Node) -> tuple[str, ...]:
        items = node.items if isinstance(node, Listing) else (node,)
        found = tuple(item.text for item in items if isinstance(item, Scalar))
        if len(found) != len(items) or not found:
            self.remarks.expected(node, "ports such as 7000,8000:udp")
            return ()
        try:
            typed = read_ports(found, False)
        except ClientError as error:
            self.remarks.mistake(node, str(error))
            return ()
        for one in typed:
            if one.remark or not one.label:
                self.remarks.mistake(node, one.remark or "a port is missing between two commas")
        return found

    def _closing(self, node: Node) -> None:
        self.host = replace(self.host, closing=self._sequence(node))

    def _proof(self, node: Node) -> None:
        word = one_of(node, _PROOFS, "proof", self.remarks)
        self.host = replace(self.host, proof=word or "sequence")

    def _delay(self, node: Node) -> None:
        number = whole_number(node, 0, 60_000, "delay", self.remarks)
        self._set(delay=(number or 0) / 1000)

    def _retries(self, node: Node) -> None:
        self._set(retries=whole_number(node, 0, 1000, "retries", self.remarks) or 0)

    def _family(self, node: Node) -> None:
        word = one_of(node, _FAMILIES, "family", self.remarks)
        self._set(family=_FAMILIES[word or "any"])

    def _connect(self, node: Node) -> None:
        on = bool(yes_or_no(node, "connect", self.remarks))
        self._set(way=replace(self.host.errand.way, connect=on))

    def _wait(self, node: Node) -> None:
        try:
            wait: Wait | None = read_wait(self._text(node, "wait") or "22")
        except ClientError as error:
            self.remarks.mistake(node, str(error))
            wait = None
        self._set(wait=wait)
