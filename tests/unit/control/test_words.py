"""What people read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.control.words import Colour, Painter, printable, span, table

PLAIN, COLOURED = Painter(on=False), Painter(on=True)


def test_columns_are_as_wide_as_their_widest_text_and_the_last_as_its_own() -> None:
    assert table(("A", "LONG HEAD", "C"), [("much", "x", "y"), ("", "", "")], PLAIN) == [
        "A     LONG HEAD  C",
        "much  x          y",
        "",
    ]


def test_a_table_without_rows_is_its_head() -> None:
    assert table(("A", "B"), [], PLAIN) == ["A  B"]


def test_the_head_alone_is_coloured() -> None:
    assert table(("A",), [("b",)], COLOURED) == ["\x1b[1mA\x1b[0m", "b"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (0.4, "0 s"),
        (8.4, "8 s"),
        (59.6, "1 min"),
        (720, "12 min"),
        (3_599, "59 min 59 s"),
        (3_600, "1 h"),
        (3_605, "1 h 5 s"),
        (90_061, "1 d 1 h"),
        (365 * 86_400, "365 d"),
    ],
)
def test_a_length_of_time_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


@given(st.text())
def test_nothing_moves_the_cursor_of_a_terminal(text: str) -> None:
    for shown in (printable(text), PLAIN.paint(text, Colour.BAD), table((text,), [], PLAIN)[0]):
        assert shown.isprintable()
    (_, row) = table(("A",), [(text,)], PLAIN)
    assert row.isprintable()


def test_only_the_colour_itself_is_a_control_sequence() -> None:
    shown = COLOURED.paint("\x1b[2J", Colour.BAD)
    assert shown == "\x1b[1;31m\N{REPLACEMENT CHARACTER}[2J\x1b[0m"
    assert COLOURED.paint("", Colour.BAD) == ""
