"""The README's commands, word for word, and a newcomer's machine to run them on."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.lab import ROOT

README = ROOT / "README.md"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two fences; ``section`` is the heading above it."""

    section: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Its commands, each with its continuation lines."""
        found = [""]
        for line in self.text.splitlines():
            found[-1] += f"{line}\n"
            if not line.endswith("\\"):
                found.append("")
        return [command.rstrip("\n") for command in found if command.strip()]


def blocks() -> list[Block]:
    """Every fenced block, in order."""
    found: list[Block] = []
    section, language = "", None
    lines: list[str] = []
    for line in README.read_text().splitlines():
        if line.startswith("```"):
            if language is None:
                language, lines = line.removeprefix("```"), []
            else:
                found.append(Block(section, language, "\n".join(lines)))
                language = None
        elif language is not None:
            lines.append(line)
        elif line.startswith("#"):
            section = line.lstrip("#").strip()
    return found


def commands(section: str = "") -> list[str]:
    """The shell commands of a section, or of all."""
    return [
        command
        for block in blocks()
        if block.language == "sh" and section in ("", block.section)
        for command in block.commands
    ]


def command(section: str, word: str) -> str:
    """The one command of a section that contains ``word``."""
    (found,) = [command for command in commands(section) if word in command]
    return found


def clone(folder: Path) -> Path:
    """A fresh clone of this repository, with what is changed or new in it."""
    target = folder / "pyknockd"
    subprocess.run(["git", "clone", "-q", ROOT, target], check=True)
    words = ["git", "-C", str(ROOT), "ls-files", "-com", "--exclude-standard", "-z"]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        source, copy = ROOT / name, target / name
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
        else:
            copy.unlink(missing_ok=True)
    return target


def strange_path(folder: Path) -> str:
    """A PATH as pyenv or conda make it: other Pythons come first; and there is no sudo.

    These Pythons and this sudo only fail: whoever runs one of them runs the wrong one.
    """
    shims = folder / "shims"
    shims.mkdir()
    minor = [f"python3.{number}" for number in range(9, 16)]
    for name in ("python", "python3", *minor, "pip", "pip3", "sudo"):
        shim = shims / name
        shim.write_text(f"#!/bin/sh\necho 'this is the wrong {name}' >&2\nexit 97\n")
        shim.chmod(0o755)
    return f"{shims}:{PATH}"
