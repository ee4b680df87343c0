"""knockd.conf, held against the real knockd: the same files are accepted, the same is read.

``PYKNOCKD_CONFIGS`` names a directory of further files. ``PYKNOCKD_MUTANTS`` is how many mutated
files are compared; 2,000 make a full run.
"""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest

from pyknockd.config.files import first_sequence
from pyknockd.config.knockd_conf import Reading, parse
from tests.support.lab import ROOT
from tests.support.oracle import read_config

MUTANTS = int(os.environ.get("PYKNOCKD_MUTANTS", "300"))
# knockd ends at a file of one-time sequences that it can take none from, and guards no door.
ACCEPTED_BY_US = {
    "a missing one-time file",
    "a directory for a one-time file",
    "a used-up one-time file",
}
ONE_TIME = {
    "good": "# used\n1,70000\n\n 7000 , 8000:udp\n9000\n",
    "used": "#1,2\n#3,4\n",
}


def cases() -> dict[str, bytes]:
    """The hard cases of ``tests/support/data/configs.txt``."""
    text = (ROOT / "tests/support/data/configs.txt").read_text("ascii")
    pieces = re.split(r"^=== (.*)\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(pieces[0::2], map(unescape, pieces[1::2]), strict=True))


def unescape(text: str) -> bytes:
    def repeated(match: re.Match[str]) -> str:
        return match[2] * int(match[1])

    text = re.sub(r"\{(\d+)\*([^}]*)\}", repeated, text).replace("\\\n", "")
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")


def published() -> list[Path]:
    folder = os.environ.get("PYKNOCKD_CONFIGS")
    return sorted(Path(folder).glob("*.conf")) if folder else []


def read(text: bytes) -> Reading:
    return parse(text.decode("utf-8", "surrogateescape"), first_sequence=first_sequence)


def disagreement(text: bytes) -> str:
    """How we read ``text`` otherwise than knockd; empty if we do not."""
    theirs, ours = read_config(text), read(text)
    # knockd ends at a file of one-time sequences that it cannot read; ours disables that door.
    files = [door.one_time_file for door in ours.config.doors if door.problem]
    ends_there = any(file is not None and theirs.stderr.startswith(file) for file in files)
    if theirs.accepted is not (not ours.mistakes) and not (files and ends_there):
        return f"knockd: {theirs.stderr!r}, ours: {ours.mistakes}"
    said = [line for line in theirs.stdout if line.startswith(("config: ", "new sequence"))]
    # knockd ends at its first mistake, we go on to the next.
    expected = list(ours.said) if theirs.accepted else list(ours.said)[: len(said)]
    return "" if said == expected else f"knockd: {said}, ours: {expected}"


@pytest.mark.parametrize("name", cases())
def test_a_hard_case_is_read_as_knockd_reads_it(name: str, tmp_path: Path) -> None:
    for file, content in ONE_TIME.items():
        (tmp_path / file).write_text(content)
    text = cases()[name].replace(b"%DIR%", os.fsencode(tmp_path))
    if name in ACCEPTED_BY_US:
        assert not read_config(text).accepted
        assert not read(text).mistakes
    else:
        assert disagreement(text) == ""


def test_the_example_is_read_as_knockd_reads_it() -> None:
    assert disagreement((ROOT / "knockd.conf.example").read_bytes()) == ""


def test_published_files_are_read_as_knockd_reads_them(capsys: pytest.CaptureFixture[str]) -> None:
    if not published():
        pytest.skip("PYKNOCKD_CONFIGS names no directory of published files")
    found = {path.name: disagreement(path.read_bytes()) for path in published()}
    with capsys.disabled():
        print(f"\n{len(found)} published files, read otherwise: {sum(map(bool, found.values()))}")
    assert {name: text for name, text in found.items() if text} == {}


TOKENS = [
    *(b"\n", b"=", b"[", b"]", b"#", b",", b":", b" ", b"\t", b"\r", b"\0", b"!", b"-", b"%IP%"),
    *(b"tcp", b"udp", b"syn", b"ack", b"7000", b"65536", b"-1", b"0x10", b"[options]", b"[a]"),
    *(b"\nsequence = 1,2\n", b"\nUseSyslog\n", b"\nTimeout=3", b"\ntarget = 192.0.2.1\n", b"\xff"),
    *(b"\nInterface = x\n", b"\nStart_Command_6 = y\n", b"\nlogfile=z\n", b"\ntcpflags = fin\n"),
]


def mutant(rng: random.Random, texts: list[bytes]) -> bytes:
    text = bytearray(rng.choice(texts))
    for _ in range(rng.randint(1, 6)):
        start = rng.randint(0, len(text))
        end = min(len(text), start + rng.choice((0, 0, 1, 1, 2, 10)))
        new = rng.choice((b"", rng.choice(TOKENS), bytes(text[start:end]).swapcase()))
        text[start:end] = new
    if rng.random() < 0.2:
        lines = bytes(text).split(b"\n")
        rng.shuffle(lines)
        return b"\n".join(lines)
    return bytes(text)


def test_mutants_are_read_as_knockd_reads_them(capsys: pytest.CaptureFixture[str]) -> None:
    texts = [text for text in cases().values() if len(text) < 2000 and b"%DIR%" not in text]
    texts += [path.read_bytes() for path in published()]
    different = []
    for seed in range(MUTANTS):
        text = mutant(random.Random(seed), texts)
        found = disagreement(text)
        if found:
            different.append((seed, text, found))
    with capsys.disabled():
        print(f"\n{MUTANTS} mutants, read otherwise: {len(different)}")
    assert different == []
