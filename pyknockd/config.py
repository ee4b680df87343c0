"""knockd.conf: text → ``Config``, or every mistake in it with its line.

Accepts exactly the files that knockd 0.8 accepts, quirks included: a file that has worked must
never keep a host from starting with its door guarded. What is accepted but surely not meant is a
warning. The grammar is in knockd(1); what it leaves open was measured on the program: lines are
trimmed of what C calls blanks and end at a zero byte, there are no comments behind a value,
numbers are read as C's atoi() reads them, overlong lines and names are cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pyknockd.ctext import BLANKS, cut, lower, size_in_bytes
from pyknockd.directives import DOOR, GLOBAL, Draft, FirstSequence, apply, no_files
from pyknockd.model import Config, Door, Remark, Severity

_OPTIONS = "options"
# Bytes that knockd has room for.
_LINE_BYTES = 4095
_SHOWN_NAME_BYTES = 254
_NAME_BYTES = 127


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


def parse(
    text: str, *, interface_given: bool = False, first_sequence: FirstSequence = no_files
) -> Reading:
    """Read the whole of ``text``.

    ``interface_given``: the command line names the interface. ``first_sequence`` gives the sequence
    that is in force in a file of one-time sequences.
    """
    draft = Draft(interface_given=interface_given, first_sequence=first_sequence)
    for draft.line, line in _lines(text):
        stripped = line.partition("\0")[0].strip(BLANKS)
        if stripped and not stripped.startswith("#"):
            _read_line(draft, stripped)
    for door, began in zip(tuple(draft.doors), draft.began, strict=True):
        if not door.steps:
            draft.line = began
            draft.mistake(_no_steps(door))
    if not draft.doors:
        draft.line = 1
        draft.warn("there is no door in this file: nothing can be opened")
    config = replace(draft.config, doors=tuple(draft.doors))
    return Reading(config, tuple(draft.said), tuple(sorted(draft.remarks, key=lambda r: r.line)))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line; one that is too long goes on as if it were the next."""
    for number, line in enumerate(text.split("\n"), start=1):
        rest = line
        while size_in_bytes(rest) + 1 > _LINE_BYTES:
            part = cut(rest, _LINE_BYTES)
            yield number, part
            rest = rest[len(part) :]
        yield number, rest


def _no_steps(door: Door) -> str:
    if door.one_time_file is not None:
        return f"[{door.name}]: no sequence is left in {door.one_time_file}"
    return f"[{door.name}] has no sequence; expected a line like: sequence = 7000,8000,9000"


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
        draft.doors.append(Door(cut(name, _NAME_BYTES)))
        draft.began.append(draft.line)
        if name.strip(BLANKS).lower() == _OPTIONS:
            draft.warn(f"[{name}] is a door; the global directives belong to [{_OPTIONS}]")
