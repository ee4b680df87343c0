"""knockd.conf: text → ``Config``, or every mistake in it with its line.

Accepts exactly the files that knockd 0.8 accepts, quirks included: a file that has worked must
never keep a host from starting with its door guarded. What is accepted but surely not meant is a
warning. The grammar is in knockd(1); lines are trimmed of what C calls blanks, there are no comments
behind a value, numbers are read as C's atoi() reads them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

from pyknockd.model import Command, Config, Door, Flags, Protocol, Step

MOST_STEPS = 32
HIGHEST_PORT = 65_535
_BLANKS = " \t\n\v\f\r"
_NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")
_OPTIONS = "options"


class Severity(Enum):
    """Whether a remark keeps the file from being used."""

    MISTAKE = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about the file that its author should know. ``line`` counts from 1; 0 is none."""

    severity: Severity
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading a file: ``config`` is usable if no remark is a mistake.

    ``said`` are the lines that knockd prints with ``-D`` while it reads, in the file's order.
    """

    config: Config
    said: tuple[str, ...]
    remarks: tuple[Remark, ...]

    @property
    def mistakes(self) -> tuple[Remark, ...]:
        return tuple(r for r in self.remarks if r.severity is Severity.MISTAKE)


@dataclass(slots=True)
class _Draft:
    """A configuration while its lines are being read."""

    config: Config = Config()
    doors: list[Door] = field(default_factory=list)
    began: list[int] = field(default_factory=list)
    in_options: bool = False
    interface_given: bool = False
    line: int = 0
    said: list[str] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    @property
    def door(self) -> Door:
        return self.doors[-1]

    def change(self, **changes: object) -> None:
        self.doors[-1] = replace(self.doors[-1], **changes)  # type: ignore[arg-type]

    def say(self, text: str) -> None:
        self.said.append(f"config: {text}")

    def say_of_door(self, text: str) -> None:
        self.say(f"{self.door.name}: {text}")

    def mistake(self, text: str) -> None:
        self.remarks.append(Remark(Severity.MISTAKE, self.line, text))

    def warn(self, text: str) -> None:
        self.remarks.append(Remark(Severity.WARNING, self.line, text))


def parse(text: str, *, interface_given: bool = False) -> Reading:
    """Read the whole of ``text``. ``interface_given``: the command line names the interface."""
    draft = _Draft(interface_given=interface_given)
    for draft.line, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip(_BLANKS)
        if stripped and not stripped.startswith("#"):
            _read_line(draft, stripped)
    for door, began in zip(draft.doors, draft.began, strict=True):
        if not door.steps and door.one_time_file is None:
            draft.line = began
            draft.mistake(
                f"[{door.name}] has no sequence; expected a line like: sequence = 7000,8000,9000"
            )
    config = replace(draft.config, doors=tuple(draft.doors))
    return Reading(config, tuple(draft.said), tuple(sorted(draft.remarks, key=lambda r: r.line)))


def _read_line(draft: _Draft, line: str) -> None:
    if line.startswith("[") and line.endswith("]"):
        _begin_section(draft, line[1:-1])
        return
    key, equals, value = line.partition("=")
    key, value = key.strip(_BLANKS).lower(), value.strip(_BLANKS)
    if not equals:
        if key == "usesyslog" and (draft.in_options or draft.doors):
            draft.config = replace(draft.config, use_syslog=True)
            draft.say("usesyslog")
        else:
            draft.mistake(f"expected [SECTION] or KEY = VALUE, found: {line}")
    elif not draft.in_options and not draft.doors:
        draft.mistake(f"{key} stands before the first [SECTION]")
    elif draft.in_options:
        _apply(draft, _GLOBAL, key, value, "[options]")
    else:
        _apply(draft, _DOOR, key, value, "a door")


def _begin_section(draft: _Draft, name: str) -> None:
    if not name:
        draft.mistake("expected a name between [ and ]")
        return
    draft.in_options = name == _OPTIONS
    if not draft.in_options:
        draft.doors.append(Door(name))
        draft.began.append(draft.line)
    draft.say(f"new section: '{name}'")


_Setter = Callable[[_Draft, str], None]


def _apply(draft: _Draft, table: dict[str, _Setter], key: str, value: str, place: str) -> None:
    setter = table.get(key)
    if setter is None:
        draft.mistake(f"no directive {key} in {place}; expected one of {', '.join(sorted(table))}")
        return
    setter(draft, value)
    if " #" in value:
        draft.warn(f"there are no comments behind a value: all of it counts: {value}")


def _set_log_file(draft: _Draft, value: str) -> None:
    draft.config = replace(draft.config, log_file=value)
    draft.say(f"log file: {value}")


def _set_pid_file(draft: _Draft, value: str) -> None:
    draft.config = replace(draft.config, pid_file=value)
    draft.say(f"pid file: {value}")


def _set_interface(draft: _Draft, value: str) -> None:
    if draft.interface_given:
        return
    draft.config = replace(draft.config, interface=value)
    draft.say(f"interface: {value}")


def _set_target(draft: _Draft, value: str) -> None:
    draft.change(target=value)
    draft.say_of_door(f"target: {value}")


def _set_sequence(draft: _Draft, value: str) -> None:
    steps = parse_sequence(value)
    if isinstance(steps, str):
        draft.mistake(steps)
        return
    draft.change(steps=steps)
    draft.say_of_door(f"sequence: {sequence_text(steps)}")
    for word, step in zip(value.split(","), steps, strict=False):
        _warn_of_port(draft, word.partition(":")[0], step.port)


def _warn_of_port(draft: _Draft, word: str, port: int) -> None:
    number = _NUMBER.match(word)
    if number is None:
        draft.warn(f"'{word.strip(_BLANKS)}' is read as port 0")
    elif word[number.end() :].strip(_BLANKS):
        draft.warn(f"'{word.strip(_BLANKS)}' is read as port {port}; the rest is ignored")
    elif port == 0:
        draft.warn("nobody can knock at port 0")


def _set_one_time_file(draft: _Draft, value: str) -> None:
    draft.change(one_time_file=value)
    draft.say_of_door(f"one time sequences file: {value}")


def _set_timeout(draft: _Draft, value: str) -> None:
    seconds = _seconds(draft, value)
    draft.change(timeout=float(seconds))
    draft.say_of_door(f"seq_timeout: {seconds}")
    if seconds <= 0:
        draft.warn("a timeout of 0 or less leaves no time for a second knock")


def _set_open_for(draft: _Draft, value: str) -> None:
    seconds = _seconds(draft, value)
    draft.change(open_for=float(seconds))
    draft.say_of_door(f"cmd_timeout: {seconds}")


def _seconds(draft: _Draft, value: str) -> int:
    number = _NUMBER.match(value)
    if number is None:
        draft.warn(f"'{value}' is no number and read as 0")
    elif number.end() < len(value):
        draft.warn(f"'{value}' is read as {_atoi(value)}; the rest is ignored")
    return _atoi(value)


def _command_setter(place: str, family: str, key: str) -> _Setter:
    def set_command(draft: _Draft, value: str) -> None:
        command: Command = getattr(draft.door, place)
        changes = {family: value}
        draft.change(**{place: replace(command, **changes)})
        draft.say_of_door(f"{key}: {value}")

    return set_command


def _set_flags(draft: _Draft, value: str) -> None:
    required, forbidden = draft.door.required, draft.door.forbidden
    for word in _upper(value).split(","):
        name = word.removeprefix("!")
        if name not in Flags.__members__:
            known = ", ".join(flag.lower() for flag in Flags.__members__)
            draft.mistake(
                f"no TCP flag '{word}'; expected some of {known}, without blanks, ! for not"
            )
            return
        if word.startswith("!"):
            forbidden |= Flags[name]
        else:
            required |= Flags[name]
        draft.say(f"tcp flag: {word}")
    draft.change(required=required, forbidden=forbidden)


_GLOBAL: dict[str, _Setter] = {
    "logfile": _set_log_file,
    "pidfile": _set_pid_file,
    "interface": _set_interface,
}
_DOOR: dict[str, _Setter] = {
    "sequence": _set_sequence,
    "one_time_sequences": _set_one_time_file,
    "seq_timeout": _set_timeout,
    "timeout": _set_timeout,
    "tcpflags": _set_flags,
    "target": _set_target,
    "start_command": _command_setter("opening", "v4", "start_command"),
    "command": _command_setter("opening", "v4", "start_command"),
    "start_command_6": _command_setter("opening", "v6", "start_command_6"),
    "command_6": _command_setter("opening", "v6", "start_command_6"),
    "cmd_timeout": _set_open_for,
    "stop_command": _command_setter("closing", "v4", "stop_command"),
    "stop_command_6": _command_setter("closing", "v6", "stop_command_6"),
}


def parse_sequence(text: str) -> tuple[Step, ...] | str:
    """The steps that ``text`` names, like ``7000,8000:udp``; or, as text, what is wrong with it."""
    steps = []
    for word in filter(None, text.split(",")):
        port_text, _, rest = word.partition(":")
        port = _atoi(port_text)
        if port > HIGHEST_PORT:
            return f"port {port} is too high; expected 1 to {HIGHEST_PORT}"
        name = rest.partition(":")[0].strip(_BLANKS).lower() or "tcp"
        if name not in ("tcp", "udp"):
            return f"unknown protocol '{name}'; expected tcp or udp"
        steps.append(Step(port & HIGHEST_PORT, Protocol[name.upper()]))
    if len(steps) > MOST_STEPS:
        return f"{len(steps)} ports in the sequence; expected at most {MOST_STEPS}"
    return tuple(steps)


def sequence_text(steps: tuple[Step, ...]) -> str:
    """``steps`` as knockd prints them: ``7000:tcp,8000:udp``."""
    return ",".join(f"{step.port}:{step.protocol.name.lower()}" for step in steps)


def _atoi(text: str) -> int:
    """C's atoi on a machine with 64-bit long: saturates as a long, then is cut to an int."""
    number = _NUMBER.match(text)
    if number is None:
        return 0
    wide = max(-(2**63), min(2**63 - 1, int(number[1])))
    return (wide + 2**31) % 2**32 - 2**31


def _upper(text: str) -> str:
    return "".join(c.upper() if c.isascii() else c for c in text)
