"""Answers → what is shown of them, for people or for programs, and the exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import localtime, strftime, time
from typing import Any

from pyknockd.control.words import Colour, Painter, printable, span, table

REFUSED = 1  # an exit status

_INTERFACE = {"come": "listening", "missing": "not there", "trouble": "in trouble"}

# What came over the wire: an answer of control.answers, as JSON gives it.
Found = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Screen:
    """Where answers are shown: as JSON, or for people."""

    as_json: bool
    painter: Painter

    def show(self, result: object, lines: Callable[[], Sequence[str]]) -> None:
        """``result``, or, for people, ``lines`` of it."""
        shown = [json.dumps(result)] if self.as_json else lines()
        # As bytes: what is in a configuration need not be text in the encoding of a terminal.
        data = "".join(f"{line}\n" for line in shown).encode("utf-8", "replace")
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _show_status(found: Found, screen: Screen) -> int:
    screen.show(found, lambda: list(_status_lines(found, screen.painter)))
    return 0


def _status_lines(found: Found, painter: Painter) -> list[str]:
    text = str(found["text"])
    colour = Colour.BAD if text.startswith("DEAF") else Colour.GOOD
    lines = [
        f"pyknockd {found['version']}, for {span(time() - found['since'])}: {painter.paint(text, colour)}",
        f"attempts under way {found['attempts']}, packets dropped {found['packets_dropped']},"
        f" first knocks left out {found['first_knocks_left_out']}",
        "",
        *table(
            ("INTERFACE", "STATE", ""),
            [
                (one["name"], _INTERFACE.get(one["state"], one["state"]), one["text"])
                for one in found["interfaces"]
            ],
            painter,
        ),
        "",
        *table(
            ("DOOR", "OPENED BY", "COMMANDS"),
            [row for door in found["doors"] for row in _door_rows(door)],
            painter,
        ),
    ]
    if found["config"]:
        said = [painter.paint(line, Colour.WARNING) for line in found["config"]]
        lines += ["", f"{printable(found['config_path'])}:", *said]
    return lines


def _door_rows(door: Found) -> list[tuple[str, str, str]]:
    proof = f"{door['proof']}, {door['steps']} steps in {span(door['timeout'])}"
    ways = door["ways"] or ["run as programs"]
    return [(door["name"], proof, ways[0]), *(("", "", way) for way in ways[1:])]


def _show_doors(found: Sequence[Found], screen: Screen) -> int:
    def lines() -> list[str]:
        if not found:
            return ["nobody is in"]
        rows = [
            (
                *(visit["door"], visit["source"], _time(visit["since"]), _until(visit)),
                *(visit["cause"], visit["closing"] or "by hand, or by another door"),
            )
            for visit in found
        ]
        return table(("DOOR", "SOURCE", "SINCE", "UNTIL", "HOW", "CLOSED BY"), rows, screen.painter)

    screen.show(found, lines)
    return 0


def _show_history(found: Sequence[Found], screen: Screen) -> int:
    def lines() -> list[str]:
        rows = [
            (
                *(_time(past["opened"]), past["door"], past["source"]),
                _time(past["closed"]) if past["closed"] else past["state"],
                *(past["cause"] or "", _status(past["open_status"]), _status(past["close_status"])),
            )
            for past in found
        ]
        heads = ("OPENED", "DOOR", "SOURCE", "CLOSED", "WHY", "STATUS", "OF CLOSING")
        return table(heads, rows, screen.painter) if rows else ["nothing is remembered of that"]

    screen.show(found, lines)
    return 0


def _show_opened(found: Found | None, screen: Screen) -> int:
    def lines() -> list[str]:
        if found is None:
            return ["its command has begun; who is in: knockctl doors"]
        return [f"{printable(found['door'])} is open for {found['source']}, {_until(found)}"]

    screen.show(found, lines)
    return 0


def _show_closed(found: Sequence[Found], screen: Screen) -> int:
    lines = [printable(f"{one['door']}: closing for {one['source']}") for one in found]
    screen.show(found, lambda: lines)
    return 0


def _show_reload(found: Sequence[str], screen: Screen) -> int:
    def lines() -> list[str]:
        if not found:
            return ["the files are taken over"]
        said = screen.painter.paint("not taken over: what held before holds", Colour.BAD)
        return [*map(printable, found), said]

    screen.show(found, lines)
    return REFUSED if found else 0


def _show_metrics(found: str, screen: Screen) -> int:
    screen.show(found, found.splitlines)
    return 0


def _show_why(found: Sequence[Found], screen: Screen) -> int:
    if screen.as_json:
        for event in found:
            screen.show(event, list)
        return 0

    def lines() -> list[str]:
        return list(_stories(found, screen.painter)) or ["nothing was heard of that"]

    screen.show(found, lines)
    return 0


def _stories(found: Sequence[Found], painter: Painter) -> list[str]:
    """Each source's events under its address; what to do stands behind the last of its kind."""
    lines = []
    for source in dict.fromkeys(event.get("source", "") for event in found):
        lines.append(painter.paint(source, Colour.HEAD))
        events = [event for event in found if event.get("source", "") == source]
        last = {event.get("remedy"): event for event in events}
        for event in events:
            lines.append(f"  {event_text(event, painter)}")
            if event.get("remedy") and last[event["remedy"]] is event:
                lines.append(f"      what to do: {printable(event['remedy'])}")
    return lines


def event_text(event: Found, painter: Painter) -> str:
    """One event as a line, without its source."""
    when = strftime("%H:%M:%S", localtime(event.get("time", 0.0)))
    door = f"{event['door']}: " if event.get("door") else ""
    text = printable(f"{door}{event.get('text') or event['event']}")
    colour = _colour(event)
    return f"{when}  {text if colour is None else painter.paint(text, colour)}"


def _colour(event: Found) -> Colour | None:
    if event["event"] in ("ended", "refused", "not-heard"):
        return Colour.WARNING
    return Colour.GOOD if event["event"] == "opened" else None


def _time(when: float) -> str:
    return strftime("%Y-%m-%d %H:%M:%S", localtime(when))


def _until(visit: Found) -> str:
    until = visit["until"]
    return "for ever" if until is None else f"{_time(until)} ({span(until - time())})"


def _status(status: int | None) -> str:
    return "" if status is None else str(status)


SHOW: dict[str, Callable[[Any, Screen], int]] = {
    "status": _show_status,
    "doors": _show_doors,
    "history": _show_history,
    "open": _show_opened,
    "close": _show_closed,
    "extend": _show_opened,
    "reload": _show_reload,
    "metrics": _show_metrics,
    "why": _show_why,
}
