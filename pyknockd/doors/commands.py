"""What a door's commands come to for one source: texts, words, records."""

from __future__ import annotations

from collections.abc import Iterable

from pyknockd.doors.journal import Record
from pyknockd.model import Action, Door, expand
from pyknockd.system.shell import split
from pyknockd.system.trust import find_program

MOST_COMMAND_BYTES = 4095  # knockd runs nothing that is longer


def record(door: Door, source: str) -> Record:
    closing = None
    if door.closing.is_there(source):
        closing = expand(door.closing.for_source(source), source)
    opening = expand(door.opening.for_source(source), source)
    return Record(door.name, source, opening, closing, door.open_for)


def templates(doors: Iterable[Door]) -> list[str]:
    """Every command of these doors, before an address is filled in."""
    commands = [command for door in doors for command in (door.opening, door.closing)]
    return [text for command in commands for text in (command.v4, command.v6) if text]


def missing_programs(commands: Iterable[str]) -> list[str]:
    """The programs that these commands name and that are not there, where no shell is involved."""
    named = dict.fromkeys(words[0] for words in map(split, commands) if words)
    return [
        name
        for name in named
        if "=" not in name and not _is_builtin(name) and not find_program(name)
    ]


def _is_builtin(name: str) -> bool:
    return name in {
        "exit",
        "true",
        "false",
        "echo",
        "test",
        "[",
        ":",
        ".",
        "exec",
        "kill",
        "cd",
        "set",
    }


def check_words(words: list[str]) -> list[str] | None:
    """The iptables command that tells whether the rule is there that ``words`` delete."""
    for name in ("-D", "--delete"):
        if name in words:
            return ["-C" if word == name else word for word in words]
    return None


def command_of(action: Action) -> str:
    return expand(action.template, action.source)


def too_long(template: str, source: str) -> bool:
    command = expand(template, source)
    return len(command.encode("utf-8", "surrogateescape")) > MOST_COMMAND_BYTES
