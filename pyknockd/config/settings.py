"""/etc/pyknockd.yaml: what knockd.conf has no word for. Text → ``Extras``, or every mistake in it.

knockd.conf stays a file that knockd can read, so that going back is always possible.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

import yaml

from pyknockd.model import ANY_INTERFACE, AUTO_INTERFACE, Extras, Limits, Remark, Severity, Timers
from pyknockd.system.text import excerpt

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
    text: str
    extras: Extras = Extras()
    remarks: list[Remark] = field(default_factory=list)

    def mistake(self, node: yaml.Node, text: str) -> None:
        # Not the mark's line: YAML's lines end in more ways than those of any editor.
        self._add(node.start_mark.index, text)

    def no_yaml(self, index: int, problem: str) -> None:
        self._add(index, f"not YAML: {excerpt(problem)}")

    def _add(self, index: int, text: str) -> None:
        line = self.text.count("\n", 0, index) + 1
        self.remarks.append(Remark(Severity.MISTAKE, line, text))


def parse(text: str) -> tuple[Extras, tuple[Remark, ...]]:
    """The settings, usable if there is no remark, and every mistake with its line."""
    draft = _Draft(text)
    root = _compose(draft)
    if root is not None and root.value != "":  # neither nothing nor an empty document
        _read_mapping(draft, root, _KEYS, "the file")
    return draft.extras, tuple(draft.remarks)


def _compose(draft: _Draft) -> yaml.Node | None:
    """The document, if the text is one."""
    try:
        loader = yaml.SafeLoader(draft.text)
    except yaml.reader.ReaderError as error:
        draft.no_yaml(error.position, f"character {hex(error.character)} has no place there")
        return None
    try:
        return loader.get_single_node()
    except RecursionError:
        draft.no_yaml(loader.index, "it is nested too deeply")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        draft.no_yaml(loader.index if mark is None else mark.index, error.problem or "")
    except (ValueError, OverflowError) as error:  # "\UFFFFFFFF" is no character
        draft.no_yaml(loader.index, str(error))
    return None


_Setter = Callable[[_Draft, yaml.Node], None]


def _read_mapping(draft: _Draft, node: yaml.Node, keys: dict[str, _Setter], place: str) -> None:
    if not isinstance(node, yaml.MappingNode):
        draft.mistake(node, f"found {_shown(node)}; expected {place} to hold KEY: VALUE")
        return
    seen = set()
    for key_node, value in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            draft.mistake(key_node, f"found {_shown(key_node)}; expected a key of {place}")
            continue
        key = key_node.value
        setter = keys.get(key)
        if setter is None:
            draft.mistake(key_node, _unknown(key, keys, place))
        elif key in seen:
            draft.mistake(key_node, f"{key} is there twice")
        else:
            setter(draft, value)
        seen.add(key)


def _unknown(key: str, keys: dict[str, _Setter], place: str) -> str:
    near = get_close_matches(key[:100], keys, n=1, cutoff=0.0)
    return f"no key {excerpt(key)} in {place}; did you mean {near[0]}? There are {', '.join(keys)}"


def _set_interfaces(draft: _Draft, node: yaml.Node) -> None:
    expected = f"expected a list of names, {ANY_INTERFACE} or {AUTO_INTERFACE}"
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    names = [one.value for one in nodes if isinstance(one, yaml.ScalarNode) and _is_name(one.value)]
    if len(names) != len(nodes) or not names:
        draft.mistake(node, f"found {_shown(node)}; {expected}")
        return
    draft.extras = replace(draft.extras, interfaces=tuple(names))


def _is_name(text: str) -> bool:
    return bool(text) and text.isprintable() and " " not in text


def _set_timers(draft: _Draft, node: yaml.Node) -> None:
    known = {timers.value: timers for timers in Timers}
    if not isinstance(node, yaml.ScalarNode) or node.value not in known:
        draft.mistake(node, f"found {_shown(node)}; expected {' or '.join(known)}")
        return
    draft.extras = replace(draft.extras, timers=known[node.value])


def _set_last_good(draft: _Draft, node: yaml.Node) -> None:
    words = {"true": True, "false": False}
    if not isinstance(node, yaml.ScalarNode) or node.value not in words:
        draft.mistake(node, f"found {_shown(node)}; expected {' or '.join(words)}")
        return
    draft.extras = replace(draft.extras, last_good=words[node.value])


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


def _whole_number(node: yaml.Node) -> int | None:
    text = node.value.replace("_", "") if isinstance(node, yaml.ScalarNode) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


def _shown(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return f"'{excerpt(node.value)}'"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


_KEYS: dict[str, _Setter] = {
    "interfaces": _set_interfaces,
    "last_good": _set_last_good,
    "limits": _set_limits,
    "timers": _set_timers,
}
