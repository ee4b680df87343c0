"""Counts → OpenMetrics text, which Prometheus and node_exporter's textfile collector read.

Source: https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pyknockd.report.state import State, Tally


@dataclass(frozen=True, slots=True)
class _Counter:
    """A family of counters. ``labels`` are the names for a tally's door and cause, if it has any."""

    name: str
    about: str
    labels: tuple[str, ...] = ()


_COUNTERS = {
    "stages": _Counter("stages", "Steps of sequences that were done.", ("door",)),
    "attempts_ended": _Counter(
        "attempts_ended", "Attempts that are over without an opening.", ("door", "cause")
    ),
    "not_heard": _Counter(
        "not_heard", "Packets to a port of a sequence that were no knock.", ("door", "cause")
    ),
    "opened": _Counter("openings", "Sequences that were right to the end.", ("door",)),
    "refused": _Counter(
        "refusals", "Doors that stayed shut after a right sequence.", ("door", "cause")
    ),
    "standing": _Counter(
        "standings", "Times that a door has come to stand open, or longer open.", ("door", "cause")
    ),
    "closed": _Counter("closings", "Openings that are over.", ("door", "cause")),
    "commands": _Counter("commands", "Commands that have ended.", ("door", "result")),
    "commands_hung": _Counter("commands_hung", "Commands that took too long.", ("door",)),
    "packets_dropped": _Counter("packets_dropped", "Packets that the kernel had no room for."),
    "first_knocks_left_out": _Counter(
        "first_knocks_left_out",
        "First knocks that were put aside until their source sends another.",
    ),
    "internal_faults": _Counter("internal_faults", "Turns of the loop that failed."),
    "reloads_refused": _Counter("reloads_refused", "Reloads whose files had mistakes."),
}


def exposition(state: State, attempts: int, seconds_up: float) -> str:
    """All there is to measure. ``attempts`` are under way now."""
    open_doors: dict[str, int] = {}
    for stay in state.open.values():
        open_doors[stay.standing.door] = open_doors.get(stay.standing.door, 0) + 1
    lines = [
        *_gauge("doors_open", "Openings that stand open.", open_doors),
        *_plain("attempts", "Attempts under way.", attempts),
        *_plain("deaf", "1 if nothing is listened on though something is to be.", state.is_deaf),
        *_plain("up_seconds", "Since the start.", round(seconds_up)),
    ]
    for what, counter in _COUNTERS.items():
        lines += _counted(counter, [t for t in state.counts.items() if t[0].what == what])
    return "\n".join([*lines, "# EOF", ""])


def _gauge(name: str, about: str, values: dict[str, int]) -> Iterable[str]:
    yield from _head(name, "gauge", about)
    for door, value in sorted(values.items()):
        yield f'knockd_{name}{{door="{_escaped(door)}"}} {value}'


def _plain(name: str, about: str, value: int) -> Iterable[str]:
    yield from _head(name, "gauge", about)
    yield f"knockd_{name} {int(value)}"


def _counted(counter: _Counter, tallies: Iterable[tuple[Tally, int]]) -> Iterable[str]:
    yield from _head(counter.name, "counter", counter.about)
    if not counter.labels:
        yield f"knockd_{counter.name}_total {sum(count for _, count in tallies)}"
        return
    for tally, count in sorted(tallies, key=lambda item: (item[0].door, item[0].cause)):
        values = (tally.door, tally.cause)
        labels = ",".join(
            f'{name}="{_escaped(value)}"'
            for name, value in zip(counter.labels, values, strict=False)
        )
        yield f"knockd_{counter.name}_total{{{labels}}} {count}"


def _head(name: str, kind: str, about: str) -> Iterable[str]:
    yield f"# TYPE knockd_{name} {kind}"
    yield f"# HELP knockd_{name} {about}"


def _escaped(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
