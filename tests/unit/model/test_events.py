"""Events as values: a closed union, each with its time."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from pyknockd.model import events
from pyknockd.model.events import Event

KINDS = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type)
    and dataclasses.is_dataclass(kind)
    and kind.__module__ == events.__name__
]


def test_the_union_has_every_event_and_nothing_else() -> None:
    assert set(get_args(Event)) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_event_is_a_frozen_value_that_begins_with_its_time(kind: type) -> None:
    fields = dataclasses.fields(kind)
    assert (fields[0].name, fields[0].type) == ("time", "float")
    assert "__slots__" in vars(kind)
    assert vars(kind)["__dataclass_params__"].frozen
    assert vars(kind)["__dataclass_params__"].frozen
    for field in fields:
        assert not any(word in str(field.type) for word in ("dict", "list", "set[", "Any"))
