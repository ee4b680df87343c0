"""Counts as OpenMetrics text, as Prometheus' own parser reads it."""

from __future__ import annotations

from typing import Any

import pytest

from pyknockd.model import Change, ChangeKind, Door
from pyknockd.model import events as e
from pyknockd.report.metrics import exposition
from pyknockd.report.state import State

parser = pytest.importorskip("prometheus_client.openmetrics.parser")

ME = "192.0.2.1"
ODD = 'a "door"\\ of\nmine \udcff'
NAMES = ("ssh", ODD)


def parsed(state: State, attempts: int = 0, up: float = 0.0) -> dict[str, Any]:
    """Each sample's value by its name and labels."""
    found: dict[str, Any] = {}
    for family in parser.text_string_to_metric_families(exposition(state, attempts, up)):
        assert family.documentation
        assert family.name.startswith("knockd_")
        for sample in family.samples:
            key = sample.name + str(sorted(sample.labels.items()) if sample.labels else "")
            assert key not in found
            found[key] = sample.value
    return found


def test_at_first_there_is_nothing_and_it_is_told() -> None:
    found = parsed(State())
    assert found["knockd_attempts"] == found["knockd_deaf"] == found["knockd_up_seconds"] == 0
    assert found["knockd_packets_dropped_total"] == found["knockd_internal_faults_total"] == 0


def test_what_is_now_is_a_gauge() -> None:
    state = State()
    state.take(e.InterfaceChanged(0.0, "eth0", e.InterfaceState.MISSING))
    for number in range(3):
        state.take(e.Standing(0.0, number, NAMES[number % 2], ME, None))
    found = parsed(state, attempts=7, up=12.4)
    assert (found["knockd_attempts"], found["knockd_deaf"]) == (7, 1)
    assert found["knockd_up_seconds"] == 12
    assert found["knockd_doors_open[('door', 'ssh')]"] == 2
    assert len([key for key in found if key.startswith("knockd_doors_open")]) == 2


@pytest.mark.parametrize("name", NAMES)
def test_what_comes_to_pass_is_counted_by_door_and_cause_whatever_its_name(name: str) -> None:
    door, change = Door(name), Change(1, ChangeKind.OPEN, name, ME, "true")
    state = State()
    for event in (
        e.StageReached(0, ME, door, 1),
        e.AttemptEnded(0, ME, door, 1, e.EndCause.TOO_LATE),
        e.Opened(0, ME, door),
        e.Refused(0, ME, door, e.RefusalCause.TOO_MANY_WAIT),
        e.Standing(0, 1, name, ME, None),
        e.CommandEnded(0, change, 3),
        e.CommandEnded(0, change, 0),
        e.Closed(0, 1, name, ME, e.ClosedCause.TIME),
    ):
        state.take(event)
    shown = name.encode("utf-8", "replace").decode()
    at = ("door", shown)
    found = parsed(state)
    assert found[f"knockd_stages_total{[at]}"] == 1
    assert found[f"knockd_openings_total{[at]}"] == 1
    assert found[f"knockd_commands_total{[at, ('result', 'failed')]}"] == 1
    assert found[f"knockd_commands_total{[at, ('result', 'ok')]}"] == 1
    assert found[f"knockd_closings_total{[('cause', 'time'), at]}"] == 1
    assert found[f"knockd_refusals_total{[('cause', 'too-many-wait'), at]}"] == 1


def test_it_is_text_that_ends_as_the_format_says() -> None:
    text = exposition(State(), 0, 0.0)
    assert text.endswith("# EOF\n")
    assert text.encode("ascii")
