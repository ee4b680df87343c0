"""YAML → nodes, each with its line, and every mistake with its own. The only room that imports yaml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

import yaml

from pyknockd.model import Remark, Severity
from pyknockd.system.text import excerpt


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text, number, or the like, as it stands in the file."""

    line: int
    text: str

    @property
    def shown(self) -> str:
        """What it is, for a message."""
        return f"'{excerpt(self.text)}'"


@dataclass(frozen=True, slots=True)
class Listing:
    """A list."""

    line: int
    items: tuple[Node, ...]

    @property
    def shown(self) -> str:
        return "a list"


@dataclass(frozen=True, slots=True)
class Pair:
    """A key and what stands behind it."""

    key: Node
    value: Node


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping, in the order of the file; a key may be there twice."""

    line: int
    pairs: tuple[Pair, ...]

    @property
    def shown(self) -> str:
        return "a mapping"


Node = Scalar | Listing | Table
MOST_NODES = 100_000


@dataclass(slots=True)
class Remarks:
    """The mistakes found so far."""

    found: list[Remark] = field(default_factory=list)

    def mistake(self, node: Node, text: str) -> None:
        """Something is wrong with ``node``."""
        self.at_line(node.line, text)

    def at_line(self, line: int, text: str) -> None:
        """Something is wrong there."""
        self.found.append(Remark(Severity.MISTAKE, line, text))

    def expected(self, node: Node, what: str, name: str = "") -> None:
        """``node``, the value of ``name``, is no ``what``."""
        self.mistake(node, f"{name + ': ' if name else ''}found {node.shown}; expected {what}")


def compose(text: str, remarks: Remarks) -> Node | None:
    """The document; None if there is none, or ``remarks`` say why."""
    reading = _Reading(text, remarks)
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        reading.no_yaml(error.position, f"character {hex(error.character)} has no place there")
        return None
    try:
        root = loader.get_single_node()
    except RecursionError:
        reading.no_yaml(loader.index, "it is nested too deeply")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        reading.no_yaml(loader.index if mark is None else mark.index, error.problem or "")
    except (ValueError, OverflowError) as error:  # "\\UFFFFFFFF" is no character
        reading.no_yaml(loader.index, str(error))
    else:
        return None if root is None or root.value == "" else reading.whole(root)
    return None


class _TooMuch(Exception):
    """There are more nodes than there may be."""


@dataclass(slots=True)
class _Reading:
    text: str
    remarks: Remarks
    count: int = 0

    def no_yaml(self, index: int, problem: str) -> None:
        self.remarks.at_line(self.line(index), f"not YAML: {excerpt(problem)}")

    def line(self, index: int) -> int:
        # Not the mark's line: YAML's lines end in more ways than those of any editor.
        return self.text.count("\n", 0, index) + 1

    def whole(self, root: yaml.Node) -> Node | None:
        """Every node; None with a mistake if aliases make more of them than any file is meant to hold."""
        try:
            return self.node(root)
        except (RecursionError, _TooMuch):
            self.no_yaml(root.start_mark.index, "its aliases (*) make too much of it")
            return None

    def node(self, node: yaml.Node) -> Node:
        self.count += 1
        if self.count > MOST_NODES:
            raise _TooMuch
        line = self.line(node.start_mark.index)
        if isinstance(node, yaml.MappingNode):
            pairs = (Pair(self.node(key), self.node(value)) for key, value in node.value)
            return Table(line, tuple(pairs))
        if isinstance(node, yaml.SequenceNode):
            return Listing(line, tuple(self.node(item) for item in node.value))
        return Scalar(line, str(node.value))


Setter = Callable[[Node], None]


def read_table(node: Node, setters: Mapping[str, Setter], place: str, remarks: Remarks) -> None:
    """Call the setter of each key of a mapping with its value, in the order of the file."""
    if not isinstance(node, Table):
        remarks.mistake(node, f"found {node.shown}; expected {place} to hold KEY: VALUE")
        return
    seen = set()
    for pair in node.pairs:
        if not isinstance(pair.key, Scalar):
            remarks.expected(pair.key, f"a key of {place}")
            continue
        key = pair.key.text
        setter = setters.get(key)
        if setter is None:
            remarks.mistake(pair.key, _unknown(key, setters, place))
        elif key in seen:
            remarks.mistake(pair.key, f"{key} is there twice")
        else:
            setter(pair.value)
        seen.add(key)


def _unknown(key: str, keys: Mapping[str, Setter], place: str) -> str:
    near = get_close_matches(key[:100], keys, n=1, cutoff=0.0)
    return f"no key {excerpt(key)} in {place}; did you mean {near[0]}? There are {', '.join(keys)}"


def whole_number(node: Node, low: int, high: int, name: str, remarks: Remarks) -> int | None:
    """A number from ``low`` to ``high``; None with a mistake if it is none."""
    text = node.text.replace("_", "") if isinstance(node, Scalar) else ""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None
    if number is None or not low <= number <= high:
        remarks.expected(node, f"a number from {low} to {high}", name)
        return None
    return number


def one_of(node: Node, words: Mapping[str, object], name: str, remarks: Remarks) -> str | None:
    """One of ``words``; None with a mistake if it is none."""
    if isinstance(node, Scalar) and node.text in words:
        return node.text
    remarks.expected(node, " or ".join(words), name)
    return None


def yes_or_no(node: Node, name: str, remarks: Remarks) -> bool | None:
    """true or false; None with a mistake if it is neither."""
    word = one_of(node, {"true": None, "false": None}, name, remarks)
    return None if word is None else word == "true"


def texts(node: Node, what: str, name: str, remarks: Remarks) -> tuple[str, ...] | None:
    """A list of texts, or one alone; None with a mistake if it is neither, or one is empty."""
    items = node.items if isinstance(node, Listing) else (node,)
    found = tuple(item.text for item in items if isinstance(item, Scalar) and item.text)
    if len(found) != len(items) or not found:
        remarks.expected(node, what, name)
        return None
    return found
