"""/etc/pyknockd.yaml: what knockd.conf has no word for. Text → ``Extras``, or every mistake in it.

knockd.conf stays a file that knockd can read, so that going back is always possible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

import yaml

from pyknockd.model import ANY_INTERFACE, AUTO_INTERFACE, Extras, Limits, Remark, Severity, Timers

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


@dataclass(slots=True)
class _Draft:
    extras: Extras = Extras()
    remarks: list[Remark] = field(default_factory=list)

    def mistake(self, node: yaml.Node, text: str) -> None:
        self.remarks.append(Remark(Severity.MISTAKE, node.start_mark.line + 1, text))


def parse(text: str) -> tuple[Extras, tuple[Remark, ...]]:
    """The settings, usable if there is no remark, and every mistake with its line."""
    draft = _Draft()
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        return draft.extras, (Remark(Severity.MISTAKE, 1, "it is nested too deeply"),)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = getattr(error, "problem", None) or "not text"
        return draft.extras, (Remark(Severity.MISTAKE, line, f"not YAML: {problem}"),)
    if root is not None and root.value != "":  # neither nothing nor an empty document
        _read_mapping(draft, root, _KEYS, "the file")
    return draft.extras, tuple(draft.remarks)


_Setter = Callable[[_Draft, yaml.Node], None]


def _read_mapping(draft: _Draft, node: yaml.Node, keys: dict[str, _Setter], place: str) -> None:
    if not isinstance(node, yaml.MappingNode):
        draft.mistake(node, f"found {_shown(node)}; expected {place} to hold KEY: VALUE")
        return
    seen = set()
    for key_node, value in node.value:
        key = str(key_node.value)
        setter = keys.get(key)
        if setter is None:
            draft.mistake(key_node, _unknown(key, keys, place))
        elif key in seen:
            draft.mistake(key_node, f"{key} is there twice")
        else:
            setter(draft, value)
        seen.add(key)


def _unknown(key: str, keys: dict[str, _Setter], place: str) -> str:
    near = get_close_matches(key, keys, n=1, cutoff=0.0)
    return f"no key {key} in {place}; did you mean {near[0]}? There are {', '.join(keys)}"


def _set_interfaces(draft: _Draft, node: yaml.Node) -> None:
    expected = f"expected a list of names, {ANY_INTERFACE} or {AUTO_INTERFACE}"
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    names = [one.value for one in nodes if isinstance(one, yaml.ScalarNode) and one.value]
    if len(names) != len(nodes) or not names:
        draft.mistake(node, f"found {_shown(node)}; {expected}")
        return
    draft.extras = replace(draft.extras, interfaces=tuple(names))


def _set_timers(draft: _Draft, node: yaml.Node) -> None:
    known = {timers.value: timers for timers in Timers}
    if not isinstance(node, yaml.ScalarNode) or node.value not in known:
        draft.mistake(node, f"found {_shown(node)}; expected {' or '.join(known)}")
        return
    draft.extras = replace(draft.extras, timers=known[node.value])


def _set_limits(draft: _Draft, node: yaml.Node) -> None:
    _read_mapping(draft, node, {name: _limit_setter(name) for name in _LIMITS}, "limits")


def _limit_setter(name: str) -> _Setter:
    low, high = _LIMITS[name]

    def set_limit(draft: _Draft, node: yaml.Node) -> None:
        number = _whole_number(node)
        if number is None or not low <= number <= high:
            draft.mistake(
                node, f"{name}: found {_shown(node)}; expected a number from {low} to {high}"
            )
            return
        changes: dict[str, int] = {name: number}
        limits: Limits = replace(draft.extras.limits, **changes)
        draft.extras = replace(draft.extras, limits=limits)

    return set_limit


def _set_control(draft: _Draft, node: yaml.Node) -> None:
    draft.extras = replace(draft.extras, control=_path(draft, node))


def _set_metrics(draft: _Draft, node: yaml.Node) -> None:
    _read_mapping(draft, node, {"textfile": _set_metrics_file}, "metrics")


def _set_metrics_file(draft: _Draft, node: yaml.Node) -> None:
    draft.extras = replace(draft.extras, metrics_file=_path(draft, node))


def _path(draft: _Draft, node: yaml.Node) -> str | None:
    text = node.value if isinstance(node, yaml.ScalarNode) else ""
    if not text.startswith("/") or text.endswith("/") or not text.isprintable():
        draft.mistake(node, f"found {_shown(node)}; expected a path that begins with /")
        return None
    return str(text)


def _whole_number(node: yaml.Node) -> int | None:
    text = node.value.replace("_", "") if isinstance(node, yaml.ScalarNode) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


def _shown(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value)
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


_KEYS: dict[str, _Setter] = {
    "control": _set_control,
    "interfaces": _set_interfaces,
    "limits": _set_limits,
    "metrics": _set_metrics,
    "timers": _set_timers,
}
