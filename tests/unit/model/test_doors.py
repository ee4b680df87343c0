"""Doors, and the texts of their commands."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.model import PLACEHOLDER, Command, Door, Protocol, Step, expand, templates

FOUR, SIX = "192.0.2.1", "2001:db8::1"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("allow %IP% from %IP%/32 100%", f"allow {FOUR} from {FOUR}/32 100%"),
        ("%IP%%IP%", f"{FOUR}{FOUR}"),
        ("%%IP%%", f"%{FOUR}%"),
        ("%ip% %IP", "%ip% %IP"),
        ("", ""),
    ],
)
def test_the_address_is_filled_in_everywhere(template: str, expected: str) -> None:
    assert expand(template, FOUR) == expected


@given(st.lists(st.text(st.characters(exclude_characters="%"))))
def test_nothing_but_the_placeholder_changes(parts: list[str]) -> None:
    assert expand(PLACEHOLDER.join(parts), SIX) == SIX.join(parts)


@pytest.mark.parametrize(
    ("command", "four", "six"),
    [
        (Command("a", "b"), "a", "b"),
        (Command("a"), "a", "a"),
        (Command("a", ""), "a", ""),
        (Command(None, "b"), "", "b"),
        (Command("", "b"), "", "b"),
        (Command(""), "", ""),
        (Command(), "", ""),
    ],
)
def test_an_absent_command_for_ipv6_falls_back_and_an_empty_one_does_nothing(
    command: Command, four: str, six: str
) -> None:
    assert command.for_source(FOUR) == four
    assert command.for_source(SIX) == six


@pytest.mark.parametrize(
    ("command", "four", "six"),
    [
        (Command("a"), True, True),
        (Command(""), True, True),
        (Command(None, ""), False, True),
        (Command(None, "b"), False, True),
        (Command(), False, False),
    ],
)
def test_an_empty_directive_is_there_all_the_same(command: Command, four: bool, six: bool) -> None:
    assert command.is_there(FOUR) is four
    assert command.is_there(SIX) is six


def test_the_templates_are_every_text_there_is_in_the_doors_order() -> None:
    one = Door("one", opening=Command("a", "b"), closing=Command("c", "d"))
    two = Door("two", opening=Command("", "e"), closing=Command("a"))
    assert templates([one, two, Door("three")]) == ["a", "b", "c", "d", "e", "a"]
    assert templates([]) == []


def test_what_a_door_does_not_say_is_as_with_knockd() -> None:
    door = Door("ssh")
    assert (door.timeout, door.open_for, door.target) == (25.0, 10.0, None)
    assert not door.required
    assert not door.forbidden


def test_a_door_cannot_be_changed_and_equals_its_like() -> None:
    door = Door("ssh", (Step(7000, Protocol.TCP),))
    with pytest.raises(FrozenInstanceError):
        door.name = "other"  # type: ignore[misc]
    assert {door, Door("ssh", (Step(7000, Protocol.TCP),))} == {door}
