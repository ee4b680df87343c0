"""Text that can be shown."""

from __future__ import annotations

import pytest

from pyknockd.system.text import excerpt, printable


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
