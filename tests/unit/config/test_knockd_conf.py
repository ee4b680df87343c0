"""knockd.conf → doors, or every mistake with its line."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.config.knockd_conf import canonical, parse


@given(st.one_of(st.text(), st.text(alphabet="[]=#,:! \n\taoptionsequence0123456789")))
def test_any_text_at_all_is_a_config_or_mistakes_with_lines(text: str) -> None:
    reading = parse(text)
    assert all(1 <= remark.line <= text.count("\n") + 1 for remark in reading.remarks)
    assert reading.mistakes or all(door.steps for door in reading.config.doors)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2001:DB8:0::1", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1"),
        ("::FFFF:192.0.2.1", "::ffff:192.0.2.1"),
    ],
)
def test_an_address_has_one_text(text: str, expected: str) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize(
    "text", ["", "localhost", "192.0.2", "1.2.3.4 or 5.6.7.8", "fe80::1%eth0", "\0"]
)
def test_what_is_no_address_has_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not appear|names an interface"):
        canonical(text)


def test_a_line_that_is_too_long_goes_on_as_the_next_without_losing_a_byte() -> None:
    line = "[d]\nsequence=1,2\ncommand=" + "x" * (4095 - len("command=") - 1) + "ü=1"
    (mistake,) = parse(line).mistakes
    assert mistake.line == 3
    assert mistake.text.encode("utf-8", "surrogateescape").startswith(
        b"no directive \xbc in a door"
    )


def test_a_long_line_takes_its_length_to_read_and_not_its_square() -> None:
    text = "[d]\nsequence=1,2\ncommand=" + "x" * (15 << 20)
    began = time.process_time()
    reading = parse(text)
    assert time.process_time() - began < 3
    assert len(reading.mistakes) == (15 << 20) // 4095
