"""The parts ``alerts``, ``on_start`` and ``on_stop`` of pyknockd.yaml."""

from __future__ import annotations

from dataclasses import replace

from pyknockd.model import Alert, Per, When
from pyknockd.system import nodes
from pyknockd.system.nodes import Listing, Node, Remarks, Scalar, Setter, Table


def commands_of(node: Node, name: str, remarks: Remarks) -> tuple[str, ...]:
    """A list of commands, or one alone."""
    return nodes.texts(node, "a command, or a list of them", name, remarks) or ()


def alerts_of(node: Node, remarks: Remarks) -> tuple[Alert, ...]:
    """Every alert of the list."""
    items = node.items if isinstance(node, Listing) else (node,)
    found = []
    for item in items:
        alert = _alert(item, remarks)
        if alert is not None:
            found.append(alert)
    return tuple(found)


def _alert(node: Node, remarks: Remarks) -> Alert | None:
    draft = _Draft(remarks)
    nodes.read_table(node, draft.setters(), "an alert", remarks)
    if draft.when is None:
        if isinstance(node, Table) and not draft.said_when:
            words = " or ".join(when.value for when in When)
            remarks.mistake(node, f"an alert without when; expected when: {words}")
        return None
    return replace(draft.alert, when=draft.when)


class _Draft:
    """An alert while it is read."""

    def __init__(self, remarks: Remarks) -> None:
        self.alert = Alert(When.FAILED)
        self.when: When | None = None
        self.said_when = False
        self._remarks = remarks

    def setters(self) -> dict[str, Setter]:
        return {
            "when": self._when,
            "count": self._count,
            "within": self._within,
            "per": self._per,
            "log": self._log,
            "command": self._command,
        }

    def _when(self, node: Node) -> None:
        self.said_when = True
        word = nodes.one_of(node, {one.value: one for one in When}, "when", self._remarks)
        self.when = None if word is None else When(word)

    def _per(self, node: Node) -> None:
        word = nodes.one_of(node, {one.value: one for one in Per}, "per", self._remarks)
        if word is not None:
            self.alert = replace(self.alert, per=Per(word))

    def _log(self, node: Node) -> None:
        log = nodes.yes_or_no(node, "log", self._remarks)
        if log is not None:
            self.alert = replace(self.alert, log=log)

    def _command(self, node: Node) -> None:
        if isinstance(node, Scalar) and node.text:
            self.alert = replace(self.alert, command=node.text)
        else:
            self._remarks.expected(node, "a command", "command")

    def _count(self, node: Node) -> None:
        count = nodes.whole_number(node, 1, 1_000_000, "count", self._remarks)
        if count is not None:
            self.alert = replace(self.alert, count=count)

    def _within(self, node: Node) -> None:
        seconds = nodes.whole_number(node, 1, 86_400, "within", self._remarks)
        if seconds is not None:
            self.alert = replace(self.alert, within=float(seconds))
