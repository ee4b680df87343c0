"""Sequences as text, and numbers as C reads them."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.model import Protocol, Step
from pyknockd.model.notation import (
    MOST_STEPS,
    atoi,
    lower,
    parse_sequence,
    sequence_text,
    step_text,
)

TCP, UDP = Protocol.TCP, Protocol.UDP


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("7000", (Step(7000, TCP),)),
        ("7000,8000:udp,9000:tcp", (Step(7000, TCP), Step(8000, UDP), Step(9000, TCP))),
        (" 7000 ,\t8000 : UDP ", (Step(7000, TCP), Step(8000, UDP))),
        ("7000:udp:tcp", (Step(7000, UDP),)),
        ("7000x", (Step(7000, TCP),)),
        ("ssh", (Step(0, TCP),)),
        ("-1", (Step(65_535, TCP),)),
        ("", (Step(0, TCP),)),
    ],
)
def test_a_sequence_is_read_as_knockd_reads_it(text: str, steps: tuple[Step, ...]) -> None:
    assert parse_sequence(text) == steps


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("7000,70000", "port 70000 is too high; expected 1 to 65535"),
        ("7000:icmp", "unknown protocol 'icmp'; expected tcp or udp"),
        ("7000:", "unknown protocol ''; expected tcp or udp"),
        (",".join(["1"] * 33), "33 ports in the sequence; expected at most 32"),
    ],
)
def test_what_is_wrong_is_said(text: str, reason: str) -> None:
    assert parse_sequence(text) == reason


STEPS = st.builds(Step, st.integers(0, 65_535), st.sampled_from(list(Protocol)))


@given(st.lists(STEPS, min_size=1, max_size=MOST_STEPS).map(tuple))
def test_steps_are_read_as_they_were_written(steps: tuple[Step, ...]) -> None:
    assert parse_sequence(sequence_text(steps)) == steps


def test_steps_are_written_with_their_protocol() -> None:
    assert sequence_text((Step(7000, TCP), Step(8000, UDP))) == "7000:tcp,8000:udp"


@given(st.one_of(st.text(" \t\n\v\f\r+-0123456789x", max_size=30), st.integers().map(str)))
def test_a_number_is_read_as_the_c_library_reads_it(text: str) -> None:
    assert atoi(text) == ctypes.CDLL(None).atoi(text.encode())


def test_no_letter_but_an_ascii_one_becomes_lower() -> None:
    assert lower("UDP ÄÖ\u212a") == "udp ÄÖ\u212a"


def test_a_step_is_written_as_it_is_read() -> None:
    steps = (Step(7000, Protocol.TCP), Step(8000, Protocol.UDP))
    assert [step_text(step) for step in steps] == ["7000", "8000:udp"]
    assert parse_sequence(",".join(map(step_text, steps))) == steps
