"""knockctl's command line: asks the running daemon, and shows what it answers."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from time import time
from typing import Any

from pyknockd import __version__
from pyknockd.control import Refusal
from pyknockd.control.client import NotReached, ask, lines
from pyknockd.control.handlers import WATCH
from pyknockd.control.protocol import Request, result_of
from pyknockd.control.views import REFUSED, SHOW, Found, Screen, event_text
from pyknockd.control.words import Painter, printable
from pyknockd.doors import StoreError, read_past
from pyknockd.model import Question
from pyknockd.system.places import CONFIG_PATH, control_path, journal_of, stem_of
from pyknockd.system.trust import withdraw_environment

USAGE, NOT_REACHED = 2, 3  # exit statuses
_UNITS = {"s": 1, "": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_MOST_ROWS = 10_000


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


_EVENTS = {
    "watch": "every event as it happens, with its cause, until Ctrl-C",
    "why": "the last attempts, and for each why it did not open, and what to do",
}


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
    for name, about in _EVENTS.items():
        command(name, about)("source", metavar="ADDRESS", nargs="?")
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
        if options.do == WATCH:
            return _watch(path, request, screen)
        return SHOW[options.do](ask(path, request), screen)
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


def _watch(path: Path, request: Request, screen: Screen) -> int:
    """Until the daemon ends, or somebody has seen enough. Raises NotReached, and Refusal."""
    told = lines(path, request, None)
    with suppress(KeyboardInterrupt, BrokenPipeError):
        result_of(next(told))
        for line in told:
            event = json.loads(line)
            if screen.as_json or event.get("text"):
                screen.show(event, partial(_watched, event, screen))
    return 0


def _watched(event: Found, screen: Screen) -> list[str]:
    source = event.get("source", "")
    return [f"{source}  {event_text(event, screen.painter)}".lstrip()]


def _read_history(path: Path, given: Mapping[str, Any], screen: Screen) -> int:
    """The journal as it is, while no daemon runs."""
    question = Question(given.get("source"), given.get("door"), given.get("since"), _MOST_ROWS)
    try:
        rows = [asdict(past) for past in read_past(path, question)]
    except StoreError as error:
        print(f"knockctl: no knockd runs, and its journal cannot be read: {error}", file=sys.stderr)
        return NOT_REACHED
    return SHOW["history"](rows, screen)


if __name__ == "__main__":
    sys.exit(main())
