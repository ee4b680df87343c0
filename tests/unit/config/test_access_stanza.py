"""What a whole stanza comes to."""

from __future__ import annotations

import pytest

from pyknockd.config.access_stanza import Draft, finish
from pyknockd.model.access import Cycle, Secret
from tests.support.spa import SSH


def draft(**changes: object) -> Draft:
    """A stanza that has all that it needs."""
    made = Draft("access.conf:1", 1, open_ports=(SSH,))
    made.key, made.hmac_key = Secret(b"a key of sixteen octets"), Secret(b"another of sixteen")
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_a_stanza_that_is_whole_is_an_access() -> None:
    made = draft()
    access = finish(made)
    assert access is not None and access.open_ports == (SSH,)
    assert (made.mistakes, made.warnings) == ([], [])


def test_every_thing_that_is_missing_is_named_at_once() -> None:
    made = Draft("access.conf:1", 1)
    assert finish(made) is None
    assert len(made.mistakes) == 3


@pytest.mark.parametrize("name", ["KEY", "HMAC_KEY", "OPEN_PORTS"])
def test_what_was_a_mistake_already_is_no_second_one(name: str) -> None:
    fields = {"KEY": "key", "HMAC_KEY": "hmac_key", "OPEN_PORTS": "open_ports"}
    made = draft(failed={name}, **{fields[name]: None})
    assert finish(made) is None
    assert made.mistakes == []


def test_a_timer_of_commands_is_how_long_it_is_open() -> None:
    seen = {"CMD_CYCLE_OPEN", "CMD_CYCLE_CLOSE", "CMD_CYCLE_TIMER"}
    access = finish(draft(seen=seen, opening="open", closing="close", timer=900))
    assert access is not None
    assert (access.cycle, access.open_for) == (Cycle("open", "close"), 900)
