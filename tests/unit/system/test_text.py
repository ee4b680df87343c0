"""Text that can be shown."""

from __future__ import annotations

import pytest

from pyknockd.system.text import columns, excerpt, is_plain, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünd «more» 門", "plain, ünd «more» 門"),
        ("a\x1b[31m\0\n\tb", r"a\x1b[31m\x00\n\tb"),
        ("\ud800 \u202e", r"\ud800 \u202e"),
        (b"caf\xe9 \xc3\xa9".decode("utf-8", "surrogateescape"), r"caf\xe9 é"),
    ],
)
def test_what_is_not_to_be_seen_is_shown_by_its_number(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_of_a_long_text_the_beginning_is_shown() -> None:
    assert excerpt("short\n") == "short\\n"
    assert excerpt("x" * 350) == "x" * 100 + "… (250 characters more)"


def test_columns_are_as_wide_as_their_widest_text_and_lines_end_with_it() -> None:
    assert columns([("a", "bb", ""), ("ccc", "d", "e")]) == ["a    bb", "ccc  d   e"]


@pytest.mark.parametrize(
    ("environment", "plain"),
    [
        ({"TERM": "xterm"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True),
        ({"TERM": "dumb"}, True),
        ({}, True),
    ],
)
def test_colours_are_for_those_who_want_them(environment: dict[str, str], plain: bool) -> None:
    assert is_plain(environment) is plain
