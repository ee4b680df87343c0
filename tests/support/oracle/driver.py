"""The real knockd 0.8, unmodified, in virtual time: what it hears, says and runs, as values.

``preload.c`` gives it packets from a list instead of an interface, addresses from a list, the
packets' time as the clock, and writes its commands down instead of running them. Nothing needs
root, an interface or a namespace, and nothing on the host is written: a log or pid file that a
configuration names outside the scenario's directory becomes /dev/null. A scenario or a reading of
a file takes 3 to 5 ms, and 1 ms more for each opening of a door with a command.

What whoever compares with it must know of knockd, all of it measured here:

* The kernel's filter is knockd's own text, compiled by libpcap and run over each frame here. What
  it drops does not exist for knockd: ``Outcome.heard`` tells. On an interface without any address
  (and in a file without doors) knockd sets no filter, and everything comes in.
* Its clock is the packet's timestamp in whole seconds, rounded down; an attempt is over when the
  difference of two such is >= the timeout, and it says so only at the next packet that it hears.
  Packets at whole seconds therefore time out as they do for one who counts exactly.
* An attempt that opened or failed stays in its list until the next packet it hears, from whomever.
  When the first of that list is then taken out (or times out) the whole list is lost, all sources.
  So with many sources, or doors with a common beginning, it opens fewer doors than it should. Only
  where no two attempts are under way at a time (one source, one door) this can never be seen.
* It dies (SIGABRT, ``status`` -6) when the last one-time sequence of a door has been used.
* Here a child runs to its end at the moment of its fork, its sleep included. In life its lines
  come later, and mixed with those of doors that the same packet opened after it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path

import pytest

from tests.support.realknockd import debian_knockd

ADDRESSES = ("192.0.2.1", "2001:db8::1")
ETHERNET, RAW_IP, COOKED = 1, 12, 113
"""libpcap's numbers (DLT_...) of the link types that knockd knows."""

_RECORD = re.compile("\x1e(\\w+) ?([^\x1f]*)\x1f")
_OPENING = re.compile(r"(\S+?)(?: \(\S+\))?: (.*): OPEN SESAME")


@dataclass(frozen=True, slots=True)
class Packet:
    """A link-layer ``frame`` that arrives at ``time``, in seconds since the epoch."""

    time: float
    frame: bytes


@dataclass(frozen=True, slots=True)
class Network:
    """The interface that knockd finds. ``addresses`` may hold "" for one that is not IP."""

    addresses: Sequence[str] = ADDRESSES
    interface: str = "eth0"
    link_type: int = ETHERNET


class Kind(Enum):
    """What an ``Entry`` tells of, and what its text then is."""

    STDOUT = "stdout"  # a line of knockd's own
    SYSLOG = "syslog"  # a message; some end in a line feed
    SYSTEM = "system"  # the command given to system()
    SLEEP = "sleep"  # seconds slept, before the command that follows
    OPEN = "open"  # snapshot length, promiscuous, milliseconds, interface of the capture
    DAEMON = "daemon"  # it detaches; no text


@dataclass(frozen=True, slots=True)
class Entry:
    """Something knockd did at the packet with this index; -1 is before the first."""

    packet: int
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Opening:
    """``door`` opened for ``source`` by the packet with this index."""

    packet: int
    door: str
    source: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A whole run. ``entries`` are in the order in which they happened.

    ``heard`` are the indices of the packets that passed the filter. ``listened`` tells whether
    knockd got as far as waiting for packets. ``status`` is its exit status, negative for a signal.
    """

    entries: tuple[Entry, ...]
    heard: frozenset[int]
    listened: bool
    stderr: str
    status: int

    def texts(self, kind: Kind) -> list[str]:
        """What the entries of this kind say."""
        return [entry.text for entry in self.entries if entry.kind is kind]

    @property
    def stdout(self) -> list[str]:
        """What knockd printed itself, in lines."""
        return self.texts(Kind.STDOUT)

    @property
    def syslog(self) -> list[str]:
        """What it told syslog, if ``UseSyslog`` is set."""
        return self.texts(Kind.SYSLOG)

    @property
    def commands(self) -> list[str]:
        """What it gave to the shell."""
        return self.texts(Kind.SYSTEM)

    @property
    def accepted(self) -> bool:
        """Whether it took the file and went on to the interface.

        It may still fail there: ``Target`` is read by libpcap only, in the filter's text.
        """
        return bool(self.texts(Kind.OPEN))

    @property
    def openings(self) -> list[Opening]:
        """Every door that opened, with a command or without."""
        found = [(entry, _OPENING.fullmatch(entry.text)) for entry in self.entries]
        return [
            Opening(entry.packet, door=match[2], source=match[1])
            for entry, match in found
            if match and entry.kind is Kind.STDOUT
        ]


def run(
    config: str | bytes,
    packets: Iterable[Packet] = (),
    *,
    options: Sequence[str] = (),
    network: Network = Network(),
    directory: Path | None = None,
) -> Outcome:
    """Let ``knockd -v`` read ``config``, see ``packets`` one after the other, and end.

    ``options`` are added; -D prints more. ``%DIR%`` in the file stands for ``directory``, where
    it may write (a log, a one-time file), by default a temporary one. A command that contains
    ``#status=N`` "ends" with N as wait() reports it: 256 is exit 1, 9 is SIGKILL. Every source's
    name (-l) is host.example. Fails with RuntimeError if not every packet could be delivered.
    """
    with tempfile.TemporaryDirectory(prefix="oracle-") as temporary:
        where = directory.absolute() if directory else Path(temporary)
        arguments = ["-c", str(_write_config(config, Path(temporary), where)), "-v", *options]
        return _knockd(arguments, [*map(_packed, packets)], network, where)


def read_config(text: str | bytes) -> Outcome:
    """What ``knockd -D -c FILE`` makes of a file: see ``accepted``, ``stdout`` and ``stderr``.

    If it takes the file, its lines about the interface and the filter follow on ``stdout``; after
    those it has ``listened``, or libpcap's complaint about a ``Target`` is in ``stderr``.
    """
    with tempfile.TemporaryDirectory(prefix="oracle-") as temporary:
        path = _write_config(text, Path(temporary), Path(temporary))
        return _knockd(["-D", "-c", str(path)], [], Network(), Path(temporary))


def _write_config(config: str | bytes, place: Path, directory: Path) -> Path:
    text = config if isinstance(config, bytes) else config.encode(errors="surrogateescape")
    path = place / "knockd.conf"
    path.write_bytes(text.replace(b"%DIR%", os.fsencode(directory)))
    return path


def _packed(packet: Packet) -> bytes:
    """``struct packet`` of preload.c."""
    seconds, microseconds = divmod(round(packet.time * 1_000_000), 1_000_000)
    return struct.pack("=qiI", seconds, microseconds, len(packet.frame)) + packet.frame


def _knockd(
    arguments: Sequence[str], packets: Sequence[bytes], network: Network, directory: Path
) -> Outcome:
    with tempfile.NamedTemporaryFile(prefix="oracle-") as stream:
        stream.write(b"".join(packets))
        stream.flush()
        environment = {
            "LD_PRELOAD": str(_library()),
            "ORACLE_PACKETS": stream.name,
            "ORACLE_SIZE": str(stream.tell()),
            "ORACLE_ADDRESSES": ",".join(network.addresses),
            "ORACLE_INTERFACE": network.interface,
            "ORACLE_LINKTYPE": str(network.link_type),
            "ORACLE_DIRECTORY": f"{directory}/",
            "TZ": "UTC",
        }
        done = subprocess.run(
            [debian_knockd() / "usr/sbin/knockd", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
    return _outcome(done, len(packets))


def _outcome(done: subprocess.CompletedProcess[bytes], packets: int) -> Outcome:
    entries: list[Entry] = []
    heard: set[int] = set()
    packet = -1
    listened = False
    pieces = _RECORD.split(done.stdout.decode(errors="surrogateescape"))
    for own, kind, text in zip(pieces[0::3], [*pieces[1::3], ""], [*pieces[2::3], ""], strict=True):
        lines = own.removesuffix("\n").split("\n") if own else []
        entries.extend(Entry(packet, Kind.STDOUT, line) for line in lines)
        if kind == "packet":
            packet, passed = map(int, text.split())
            heard |= {packet} if passed else set()
        elif kind == "end":
            listened = True
        elif kind:
            entries.append(Entry(packet, Kind(kind), text))
    if done.returncode == 127:
        raise RuntimeError(f"knockd cannot run, does it miss libpcap0.8? {done.stderr!r}")
    if listened and packet != packets - 1:
        raise RuntimeError(f"knockd saw {packet + 1} of {packets} packets")
    return Outcome(
        entries=tuple(entries),
        heard=frozenset(heard),
        listened=listened or packet >= 0,
        stderr=done.stderr.decode(errors="surrogateescape"),
        status=done.returncode,
    )


@cache
def _library() -> Path:
    """The compiled preload library, kept in the cache under its source's hash.

    Skips the test where there is no C compiler.
    """
    source = Path(__file__).with_name("preload.c")
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    target = cache_home / "pyknockd" / f"oracle-{digest}.so"
    if not target.exists():
        if shutil.which("cc") is None:
            pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(f".{os.getpid()}")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", partial, source], check=True)
        partial.rename(target)
    return target
