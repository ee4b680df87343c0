"""YAML, read into nodes."""

from __future__ import annotations

import pytest

from pyknockd.system import nodes
from pyknockd.system.nodes import Listing, Node, Pair, Remarks, Scalar, Table, compose


def composed(text: str) -> Node | None:
    remarks = Remarks()
    node = compose(text, remarks)
    assert remarks.found == []
    return node


def mistakes(text: str) -> list[tuple[int, str]]:
    remarks = Remarks()
    assert compose(text, remarks) is None
    return [(one.line, one.text) for one in remarks.found]


def test_a_document_is_its_nodes_with_their_lines() -> None:
    assert composed("a: 1\nb:\n  - x\n  - 'y z'\n") == Table(
        1,
        (
            Pair(Scalar(1, "a"), Scalar(1, "1")),
            Pair(Scalar(2, "b"), Listing(3, (Scalar(3, "x"), Scalar(4, "y z")))),
        ),
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "''"])
def test_an_empty_document_is_none(text: str) -> None:
    assert composed(text) is None


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("a: [", 1, "not YAML"),
        ("a: 1\n\tb: 2", 2, "not YAML"),
        ("a: 1\nb: \x07", 2, "character 0x7 has no place there"),
        ("[" * 2000, 1, "not YAML"),
        (r'"\UFFFFFFFF"', 1, "not YAML"),
        ("a: &a b\nc: *d", 2, "not YAML"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(text: str, line: int, word: str) -> None:
    ((found, said),) = mistakes(text)
    assert (found, word in said) == (line, True), said


def test_aliases_of_aliases_are_not_followed_for_ever() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for number in range(1, 10):
        names = ", ".join([f"*a{number - 1}"] * 10)
        lines.append(f"a{number}: &a{number} [{names}]")
    ((_, said),) = mistakes("\n".join(lines))
    assert "make too much of it" in said


def test_each_key_goes_to_its_setter_once() -> None:
    remarks, got = Remarks(), list[str]()

    def setter(node: Node) -> None:
        assert isinstance(node, Scalar)
        got.append(node.text)

    node = composed("one: 1\none: 2\nthree: 3\n? [x]\n: 4\n")
    assert node is not None
    nodes.read_table(node, {"one": setter, "two": setter}, "the file", remarks)
    assert got == ["1"]
    assert [(one.line, one.text) for one in remarks.found] == [
        (2, "one is there twice"),
        (3, "no key three in the file; did you mean two? There are one, two"),
        (4, "found a list; expected a key of the file"),
    ]


@pytest.mark.parametrize("text", ["[1]", "1"])
def test_what_is_no_mapping_is_told(text: str) -> None:
    remarks, node = Remarks(), composed(text)
    assert node is not None
    nodes.read_table(node, {}, "the file", remarks)
    assert "expected the file to hold KEY: VALUE" in remarks.found[0].text


@pytest.mark.parametrize(
    ("text", "number"),
    [("7", 7), ("1_000", 1_000), ("0", None), ("1001", None), ("x", None), ("[7]", None)],
)
def test_numbers_have_bounds(text: str, number: int | None) -> None:
    remarks, node = Remarks(), composed(text)
    assert node is not None
    assert nodes.whole_number(node, 1, 1_000, "count", remarks) == number
    assert bool(remarks.found) is (number is None)


@pytest.mark.parametrize(
    ("text", "found"), [("true", True), ("false", False), ("yes", None), ("{a: b}", None)]
)
def test_yes_and_no_are_true_and_false(text: str, found: bool | None) -> None:
    remarks, node = Remarks(), composed(text)
    assert node is not None
    assert nodes.yes_or_no(node, "strict", remarks) is found
    assert bool(remarks.found) is (found is None)


@pytest.mark.parametrize(
    ("text", "found"),
    [("a", ("a",)), ("[a, b]", ("a", "b")), ("[]", None), ("[a, '']", None), ("[[a]]", None)],
)
def test_a_text_alone_is_as_good_as_a_list(text: str, found: tuple[str, ...] | None) -> None:
    remarks, node = Remarks(), composed(text)
    assert node is not None
    assert nodes.texts(node, "names", "interfaces", remarks) == found
    assert bool(remarks.found) is (found is None)
