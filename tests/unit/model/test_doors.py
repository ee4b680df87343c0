"""Doors and their commands."""

from __future__ import annotations

import pytest

from pyknockd.model import Command, Door, expand, templates


def test_the_address_is_filled_in_everywhere() -> None:
    assert (
        expand("allow %IP% from %IP%/32 100%", "192.0.2.1")
        == "allow 192.0.2.1 from 192.0.2.1/32 100%"
    )


@pytest.mark.parametrize(
    ("command", "four", "six"),
    [
        (Command("a", "b"), "a", "b"),
        (Command("a"), "a", "a"),
        (Command("a", ""), "a", ""),
        (Command(None, "b"), "", "b"),
        (Command(""), "", ""),
        (Command(), "", ""),
    ],
)
def test_an_absent_command_for_ipv6_falls_back_and_an_empty_one_does_nothing(
    command: Command, four: str, six: str
) -> None:
    assert command.for_source("192.0.2.1") == four
    assert command.for_source("2001:db8::1") == six


def test_an_empty_directive_is_there_all_the_same() -> None:
    assert Command("").is_there("192.0.2.1")
    assert Command(None, "").is_there("2001:db8::1")
    assert not Command(None, "b").is_there("192.0.2.1")
    assert not Command().is_there("2001:db8::1")


def test_every_command_of_the_doors_is_a_template_but_what_says_nothing() -> None:
    doors = [
        Door("a", opening=Command("open4", "open6"), closing=Command("close4")),
        Door("b", opening=Command(""), closing=Command(None, "close6")),
    ]
    assert templates(doors) == ["open4", "open6", "close4", "close6"]
