"""/etc/pyknockd.yaml: what knockd.conf has no word for. Text → ``Extras``, or every mistake in it.

knockd.conf stays a file that knockd can read, so that going back is always possible.
"""

from __future__ import annotations

from dataclasses import replace

from pyknockd.config import hooks, policies
from pyknockd.model import ANY_INTERFACE, AUTO_INTERFACE, Extras, Limits, Remark, Timers
from pyknockd.system import nodes
from pyknockd.system.nodes import Node, Remarks, Scalar

# limit → lowest and highest value
_LIMITS = {
    "attempts": (1, 10_000_000),
    "first_knocks": (1, 1_000_000),
    "commands": (1, 4_096),
    "log_lines": (0, 1_000_000),
    "hung_seconds": (1, 86_400),
    "history_rows": (0, 10_000_000),
    "history_days": (0, 36_500),
}


def parse(text: str) -> tuple[Extras, tuple[Remark, ...]]:
    """The settings, usable if there is no remark, and every mistake with its line."""
    draft = _Draft()
    root = nodes.compose(text, draft.remarks)
    if root is not None:
        setters = {
            "interfaces": draft.set_interfaces,
            "limits": draft.set_limits,
            "timers": draft.set_timers,
            "last_good": draft.set_last_good,
            "doors": draft.set_doors,
            "control": draft.set_control,
            "metrics": draft.set_metrics,
            "alerts": draft.set_alerts,
            "on_start": draft.set_on_start,
            "on_stop": draft.set_on_stop,
        }
        nodes.read_table(root, setters, "the file", draft.remarks)
    return draft.extras, tuple(draft.remarks.found)


class _Draft:
    """The settings while the file is read, a method for each key."""

    def __init__(self) -> None:
        self.extras = Extras()
        self.remarks = Remarks()

    def set_interfaces(self, node: Node) -> None:
        what = f"a list of names, {ANY_INTERFACE} or {AUTO_INTERFACE}"
        names = nodes.texts(node, what, "", self.remarks)
        if names is not None and all(policies.is_interface(name) for name in names):
            self.extras = replace(self.extras, interfaces=names)
        elif names is not None:
            self.remarks.expected(node, what)

    def set_timers(self, node: Node) -> None:
        known = {timers.value: timers for timers in Timers}
        word = nodes.one_of(node, known, "", self.remarks)
        if word is not None:
            self.extras = replace(self.extras, timers=known[word])

    def set_last_good(self, node: Node) -> None:
        last_good = nodes.yes_or_no(node, "", self.remarks)
        if last_good is not None:
            self.extras = replace(self.extras, last_good=last_good)

    def set_alerts(self, node: Node) -> None:
        self.extras = replace(self.extras, alerts=hooks.alerts_of(node, self.remarks))

    def set_on_start(self, node: Node) -> None:
        commands = hooks.commands_of(node, "on_start", self.remarks)
        self.extras = replace(self.extras, on_start=commands)

    def set_on_stop(self, node: Node) -> None:
        commands = hooks.commands_of(node, "on_stop", self.remarks)
        self.extras = replace(self.extras, on_stop=commands)

    def set_control(self, node: Node) -> None:
        self.extras = replace(self.extras, control=self._path(node))

    def set_metrics(self, node: Node) -> None:
        setters = {"textfile": self._set_metrics_file}
        nodes.read_table(node, setters, "metrics", self.remarks)

    def _set_metrics_file(self, node: Node) -> None:
        self.extras = replace(self.extras, metrics_file=self._path(node))

    def _path(self, node: Node) -> str | None:
        text = node.text if isinstance(node, Scalar) else ""
        if not text.startswith("/") or text.endswith("/") or not text.isprintable():
            self.remarks.expected(node, "a path that begins with /")
            return None
        return text

    def set_doors(self, node: Node) -> None:
        doors = policies.doors_of(node, self.remarks)
        self.extras = replace(self.extras, doors=doors)

    def set_limits(self, node: Node) -> None:
        limits: dict[str, int] = {}

        def setter(name: str) -> nodes.Setter:
            low, high = _LIMITS[name]

            def set_limit(value: Node) -> None:
                number = nodes.whole_number(value, low, high, name, self.remarks)
                if number is not None:
                    limits[name] = number

            return set_limit

        nodes.read_table(node, {name: setter(name) for name in _LIMITS}, "limits", self.remarks)
        changed: Limits = replace(self.extras.limits, **limits)
        self.extras = replace(self.extras, limits=changed)
