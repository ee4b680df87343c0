"""knockd.conf: text → ``Config``, or every mistake in it with its line.

Accepts exactly the files that knockd 0.8 accepts, quirks included: a file that has worked must
never keep a host from starting with its door guarded. What is accepted but surely not meant is a
warning. The grammar is in knockd(1); what it leaves open was measured on the program: lines are
trimmed of what C calls blanks and end at a zero byte, there are no comments behind a value,
numbers are read as C's atoi() reads them, overlong lines and names are cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, ip_address

from pyknockd.model import (
    FEW_SEQUENCES,
    OTHER_PLACEHOLDERS,
    PLACEHOLDER,
    Command,
    Config,
    Door,
    Flags,
    InForce,
    Remark,
    Severity,
)
from pyknockd.model.notation import BLANKS, NUMBER, atoi, lower, parse_sequence, sequence_text

_LIKE_PLACEHOLDER = re.compile(r"%[A-Za-z]{1,4}%")
_OPTIONS = "options"
# Bytes that knockd has room for.
_LINE_BYTES = 4095
_SHOWN_NAME_BYTES = 254
_NAME_BYTES = 127
_INTERFACE_BYTES = 31  # what knockd has room for


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


# The path of a file of one-time sequences → the one in force; or, as text, why the file cannot be
# used at all.
FirstSequence = Callable[[str], InForce | str]


def no_files(path: str) -> InForce | str:
    """For a text that may name no file."""
    return f"{path}: not read"


@dataclass(slots=True)
class Draft:
    """A configuration while its lines are being read; ``line`` is the one that is being read."""

    config: Config = Config()
    doors: list[Door] = field(default_factory=list)
    began: list[int] = field(default_factory=list)
    in_options: bool = False
    interface_given: bool = False
    first_sequence: FirstSequence = no_files
    spoken_of: Collection[str] = ()
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


def parse(
    text: str,
    *,
    interface_given: bool = False,
    first_sequence: FirstSequence = no_files,
    spoken_of: Collection[str] = (),
) -> Reading:
    """Read the whole of ``text``.

    ``interface_given``: the command line names the interface. ``first_sequence`` gives the sequence
    that is in force in a file of one-time sequences. ``spoken_of`` are the doors of pyknockd.yaml.
    """
    draft = Draft(
        interface_given=interface_given, first_sequence=first_sequence, spoken_of=spoken_of
    )
    for draft.line, line in _lines(text):
        stripped = line.partition("\0")[0].strip(BLANKS)
        if stripped and not stripped.startswith("#"):
            _read_line(draft, stripped)
    for door, began in zip(tuple(draft.doors), draft.began, strict=True):
        if not door.steps and not door.problem:
            draft.line = began
            draft.mistake(
                f"[{door.name}] has no sequence; expected a line like: sequence = 7000,8000,9000"
            )
    if not draft.doors:
        draft.line = 1
        draft.warn("there is no door in this file: nothing can be opened")
    config = replace(draft.config, doors=tuple(draft.doors))
    return Reading(config, tuple(draft.said), tuple(sorted(draft.remarks, key=lambda r: r.line)))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line; one that is too long goes on as if it were the next."""
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) < _LINE_BYTES and size_in_bytes(line) < _LINE_BYTES:
            yield number, line
            continue
        data = line.encode("utf-8", "surrogateescape")
        # One of exactly so many bytes leaves its line feed to the next, which is empty.
        for start in range(0, len(data) + 1, _LINE_BYTES):
            yield number, data[start : start + _LINE_BYTES].decode("utf-8", "surrogateescape")


def _read_line(draft: Draft, line: str) -> None:
    if line.startswith("[") and line.endswith("]"):
        _begin_section(draft, line[1:-1])
        return
    key, equals, value = line.partition("=")
    key, value = lower(key.strip(BLANKS)), value.strip(BLANKS)
    if not equals:
        if key == "usesyslog" and (draft.in_options or draft.doors):
            draft.config = replace(draft.config, use_syslog=True)
            draft.say("usesyslog")
        else:
            draft.mistake(f"expected [SECTION] or KEY = VALUE, found: {line}")
    elif not draft.in_options and not draft.doors:
        draft.mistake(f"{key} stands before the first [SECTION]")
    elif draft.in_options:
        apply(draft, GLOBAL, key, value, "[options]")
    else:
        apply(draft, DOOR, key, value, "a door")


def _begin_section(draft: Draft, name: str) -> None:
    name = cut(name, _SHOWN_NAME_BYTES)
    draft.say(f"new section: '{name}'")
    if not name:
        draft.mistake("expected a name between [ and ]")
    draft.in_options = name == _OPTIONS
    if not draft.in_options:
        name = cut(name, _NAME_BYTES)
        draft.doors.append(Door(name, has_policy=name in draft.spoken_of))
        draft.began.append(draft.line)
        if name.strip(BLANKS).lower() == _OPTIONS:
            draft.warn(f"[{name}] is a door; the global directives belong to [{_OPTIONS}]")


Setter = Callable[[Draft, str], None]


def apply(draft: Draft, table: dict[str, Setter], key: str, value: str, place: str) -> None:
    setter = table.get(key)
    if setter is None:
        draft.mistake(f"no directive {key} in {place}; expected one of {', '.join(sorted(table))}")
        return
    setter(draft, value)
    if " #" in value:
        draft.warn(f"there are no comments behind a value: all of it counts: {value}")


def _set_log_file(draft: Draft, value: str) -> None:
    draft.config = replace(draft.config, log_file=value)
    draft.say(f"log file: {value}")


def _set_pid_file(draft: Draft, value: str) -> None:
    draft.config = replace(draft.config, pid_file=value)
    draft.say(f"pid file: {value}")


def _set_interface(draft: Draft, value: str) -> None:
    if draft.interface_given or draft.config.interface:
        if draft.config.interface:
            draft.warn(f"the first Interface holds: {draft.config.interface}")
        return
    value = cut(value, _INTERFACE_BYTES)
    draft.config = replace(draft.config, interface=value)
    draft.say(f"interface: {value}")


def _set_target(draft: Draft, value: str) -> None:
    draft.say_of_door(f"target: {value}")
    try:
        target = canonical(value)
    except ValueError:
        target = value
        draft.warn(f"'{value}' is no address: nobody can knock at this door")
    draft.change(target=target)


def _set_sequence(draft: Draft, value: str) -> None:
    steps = parse_sequence(value)
    if isinstance(steps, str):
        draft.mistake(steps)
        return
    draft.change(steps=steps)
    draft.say_of_door(f"sequence: {sequence_text(steps)}")
    for word, step in zip(value.split(","), steps, strict=True):
        _warn_of_port(draft, word.partition(":")[0], step.port)


def _warn_of_port(draft: Draft, word: str, port: int) -> None:
    number = NUMBER.match(word)
    if number is None:
        draft.warn(f"'{word.strip(BLANKS)}' is read as port 0")
    elif word[number.end() :].strip(BLANKS):
        draft.warn(f"'{word.strip(BLANKS)}' is read as port {port}; the rest is ignored")
    elif port == 0:
        draft.warn("nobody can knock at port 0")


def _set_one_time_file(draft: Draft, value: str) -> None:
    found = draft.first_sequence(value)
    if isinstance(found, str):
        _disable(draft, value, found)
        return
    draft.say_of_door(f"one time sequences file: {value}")
    if not found.steps:
        draft.say(f"no more sequences left in the one time sequences file {value}")
        _disable(draft, value, f"all sequences in {value} are used")
        return
    draft.change(one_time_file=value, steps=found.steps)
    if found.left <= FEW_SEQUENCES:
        draft.warn(f"[{draft.door.name}]: sequences left in {value}: {found.left}")
    text = sequence_text(found.steps)
    draft.said.append(f"new sequence for door {draft.door.name}: {text}")
    draft.say_of_door(f"sequence: {text}")


def _disable(draft: Draft, path: str, problem: str) -> None:
    """Here knockd ends. But one file must not keep all the other doors shut."""
    draft.change(one_time_file=path, steps=(), problem=problem)
    draft.warn(f"[{draft.door.name}] is disabled: {problem}")


def _set_timeout(draft: Draft, value: str) -> None:
    seconds = _seconds(draft, value)
    draft.change(timeout=float(seconds))
    draft.say_of_door(f"seq_timeout: {seconds}")
    if seconds <= 0:
        draft.warn("a timeout of 0 or less leaves no time for a second knock")


def _set_open_for(draft: Draft, value: str) -> None:
    seconds = _seconds(draft, value)
    # knockd hands it to sleep(), which takes it for a number without a sign.
    draft.change(open_for=float(seconds % 2**32))
    draft.say_of_door(f"cmd_timeout: {seconds}")
    if seconds < 0:
        draft.warn("a Cmd_Timeout below 0 never closes the door")


def _seconds(draft: Draft, value: str) -> int:
    number = NUMBER.match(value)
    if number is None:
        draft.warn(f"'{value}' is no number and read as 0")
    elif number.end() < len(value):
        draft.warn(f"'{value}' is read as {atoi(value)}; the rest is ignored")
    return atoi(value)


def _command_setter(place: str, family: str, key: str) -> Setter:
    def set_command(draft: Draft, value: str) -> None:
        command: Command = getattr(draft.door, place)
        changes = {family: value}
        draft.change(**{place: replace(command, **changes)})
        draft.say_of_door(f"{key}: {value}")
        for word in _LIKE_PLACEHOLDER.findall(value):
            if word in OTHER_PLACEHOLDERS and not draft.door.has_policy:
                where = f"pyknockd.yaml does not speak of [{draft.door.name}]"
                draft.warn(f"{word} stays as it is; only {PLACEHOLDER} is replaced: {where}")
            elif word not in (PLACEHOLDER, *OTHER_PLACEHOLDERS):
                draft.warn(f"{word} stays as it is; only {PLACEHOLDER} is replaced")

    return set_command


def _set_flags(draft: Draft, value: str) -> None:
    required, forbidden = draft.door.required, draft.door.forbidden
    for word in upper(value).split(","):
        name = word.removeprefix("!")
        if name not in Flags.__members__:
            known = ", ".join(flag.lower() for flag in Flags.__members__)
            draft.mistake(
                f"no TCP flag '{word}'; expected some of {known}, without blanks, ! for not"
            )
            return
        flag = Flags[name]
        # Of several words about one flag the last one holds.
        required, forbidden = required & ~flag, forbidden & ~flag
        if word.startswith("!"):
            forbidden |= flag
        else:
            required |= flag
        draft.say(f"tcp flag: {word}")
    draft.change(required=required, forbidden=forbidden)


GLOBAL: dict[str, Setter] = {
    "logfile": _set_log_file,
    "pidfile": _set_pid_file,
    "interface": _set_interface,
}
DOOR: dict[str, Setter] = {
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


def upper(text: str) -> str:
    """``text`` in upper case, ASCII letters only."""
    return "".join(c.upper() if c.isascii() else c for c in text)


def size_in_bytes(text: str) -> int:
    """The bytes of ``text`` in the file."""
    return len(text.encode("utf-8", "surrogateescape"))


def cut(text: str, size: int) -> str:
    """The first ``size`` bytes of ``text``."""
    data = text.encode("utf-8", "surrogateescape")
    return text if len(data) <= size else data[:size].decode("utf-8", "surrogateescape")


def canonical(address: str) -> str:
    """``address`` as the addresses of packets are written here. Raises ValueError if it is none."""
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        if found.scope_id is not None:
            raise ValueError(f"{address} names an interface")
        if found.ipv4_mapped is not None:
            return f"::ffff:{found.ipv4_mapped}"
    return str(found)
