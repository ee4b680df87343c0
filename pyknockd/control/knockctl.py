"""knockctl's command line: asks the running daemon, and shows what it answers."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from time import localtime, strftime, time
from typing import Any

from pyknockd import __version__
from pyknockd.control import Refusal
from pyknockd.control.client import NotReached, ask
from pyknockd.control.protocol import Request
from pyknockd.control.words import Colour, Painter, printable, span, table
from pyknockd.doors import StoreError, read_past
from pyknockd.model import Question
from pyknockd.system.places import CONFIG_PATH, control_path, journal_of, stem_of
from pyknockd.system.trust import withdraw_environment

REFUSED, USAGE, NOT_REACHED = 1, 2, 3  # exit statuses
_UNITS = {"s": 1, "": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_MOST_ROWS = 10_000

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


def seconds(text: str) -> float:
    """A span of time like ``90``, ``15min``, ``2h``, ``7d``. Raises ArgumentTypeError."""
    found = re.fullmatch(r"([0-9]{1,9})\s*([a-z]*)", text.strip().lower())
    if found is None or found[2] not in _UNITS:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no span of time, such as 90s, 15min, 2h or 7d"
        )
    return int(found[1]) * float(_UNITS[found[2]])


def moment(text: str) -> float:
    """A moment: so long ago, or a date like ``2026-11-25`` or ``2026-11-25 14:30``."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return time() - seconds(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="knockctl",
        description="Asks the running knockd who is in, and opens and closes doors by hand.",
        epilog="Ends with 1 if the daemon refuses, 2 if it is used wrongly, 3 if no daemon answers.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"pyknockd {__version__}")
    parser.add_argument("-c", "--config", metavar="FILE", default=CONFIG_PATH,
                        help="ask the daemon that guards this file's doors")  # fmt: skip
    parser.add_argument("--socket", metavar="PATH", help="ask the daemon that listens here")
    parser.add_argument("--json", action="store_true", help="print what programs read")
    commands = parser.add_subparsers(dest="do", metavar="COMMAND", required=True)

    def command(name: str, about: str) -> Callable[..., argparse.Action]:
        made = commands.add_parser(name, help=about, description=about)
        made.add_argument("--json", action="store_true", default=argparse.SUPPRESS,
                          help=argparse.SUPPRESS)  # fmt: skip
        return made.add_argument

    command("status", "how the daemon fares, its interfaces and doors")
    command("doors", "who is in: through which door, since when and until when")
    add = command("history", "who was in, and how it went")
    add("--source", metavar="ADDRESS", help="of this address only")
    add("--door", metavar="DOOR", help="through this door only")
    add("--since", metavar="TIME", type=moment, help="since so long ago (7d, 2h), or since a date")
    add = command("open", "open a door for an address, as a knock would")
    add("door", metavar="DOOR")
    add("source", metavar="ADDRESS")
    add = command("close", "close what stands open for an address")
    add("source", metavar="ADDRESS")
    add("door", metavar="DOOR", nargs="?")
    add = command("extend", "let a door stand open for longer")
    add("source", metavar="ADDRESS")
    add("door", metavar="DOOR")
    add("seconds", metavar="TIME", type=seconds, help="how much longer: 90, 15min, 2h")
    command("reload", "have the files read again, and print the mistakes that they have")
    command("metrics", "what is counted, as OpenMetrics text")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The program. Returns its exit status."""
    who = _who()
    if argv is None:
        withdraw_environment()
    options = _parser().parse_args(argv)
    on = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    screen = Screen(options.json, Painter(on))
    path = Path(options.socket) if options.socket else control_path(os.path.abspath(options.config))
    given = {
        name: value
        for name, value in vars(options).items()
        if name in ("door", "source", "since", "seconds") and value is not None
    }
    request = Request(options.do, {**given, "who": who})
    try:
        return _SHOW[options.do](ask(path, request), screen)
    except Refusal as refusal:
        print(f"knockctl: {printable(str(refusal))}", file=sys.stderr)
        return REFUSED
    except NotReached as error:
        if options.do == "history":
            return _read_history(
                journal_of(stem_of(os.path.abspath(options.config))), given, screen
            )
        print(f"knockctl: no knockd answers at {path}: {error}", file=sys.stderr)
        print("knockctl: is it running? See: systemctl status knockd", file=sys.stderr)
        return NOT_REACHED


def _who() -> str:
    """In whose name this is done: whoever has become root for it, if that is known."""
    name = os.environ.get("SUDO_USER") or os.environ.get("DOAS_USER")
    if name:
        return name
    try:
        return os.getlogin()
    except OSError:
        pass
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _read_history(path: Path, given: Mapping[str, Any], screen: Screen) -> int:
    """The journal as it is, while no daemon runs."""
    question = Question(given.get("source"), given.get("door"), given.get("since"), _MOST_ROWS)
    try:
        rows = [asdict(past) for past in read_past(path, question)]
    except StoreError as error:
        print(f"knockctl: no knockd runs, and its journal cannot be read: {error}", file=sys.stderr)
        return NOT_REACHED
    return _show_history(rows, screen)


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


def _time(when: float) -> str:
    return strftime("%Y-%m-%d %H:%M:%S", localtime(when))


def _until(visit: Found) -> str:
    until = visit["until"]
    return "for ever" if until is None else f"{_time(until)} ({span(until - time())})"


def _status(status: int | None) -> str:
    return "" if status is None else str(status)


_SHOW: dict[str, Callable[[Any, Screen], int]] = {
    "status": _show_status,
    "doors": _show_doors,
    "history": _show_history,
    "open": _show_opened,
    "close": _show_closed,
    "extend": _show_opened,
    "reload": _show_reload,
    "metrics": _show_metrics,
}

if __name__ == "__main__":
    sys.exit(main())
