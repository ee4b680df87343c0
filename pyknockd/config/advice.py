"""What the files alone do not show: whether this host has what they name."""

from __future__ import annotations

from collections.abc import Iterable

from pyknockd.system.shell import split
from pyknockd.system.trust import find_program

# sh(1): what a shell runs without a program.
_BUILTINS = frozenset(
    ("exit", "true", "false", "echo", "test", "[", ":", ".", "exec", "kill", "cd", "set")
)


def missing_programs(commands: Iterable[str]) -> list[str]:
    """The programs that these commands name and that are not there, where no shell is involved."""
    named = dict.fromkeys(words[0] for words in map(split, commands) if words)
    return [
        name
        for name in named
        if "=" not in name and name not in _BUILTINS and not find_program(name)
    ]
