"""The C original of Debian, to compare with: unpacked beside the system, never installed."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

PROGRAMS = ("usr/bin/knock", "usr/sbin/knockd")


@functools.cache
def debian_knockd() -> Path:
    """The root of an unpacked Debian knockd 0.8; it holds usr/bin/knock and usr/sbin/knockd.

    The package is fetched once, by apt-get, and kept in ``$XDG_CACHE_HOME/pyknockd``. Where that
    fails an installed knockd serves, whose root is ``/``. Skips the test on a system without
    Debian's tools; raises RuntimeError, with what apt-get said, if the package cannot be had.
    """
    for tool in ("apt-get", "dpkg", "dpkg-query"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs Debian's knockd package, and there is no {tool} here")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pyknockd"
    root = cache / "knockd"
    if _complete(root):
        return root
    try:
        _unpack(root)
    except subprocess.CalledProcessError as error:
        if _installed():
            return Path("/")
        raise RuntimeError(
            "cannot get Debian's knockd; try: apt-get update && apt-get download knockd\n"
            + error.stdout
        ) from error
    return root


def _complete(root: Path) -> bool:
    """Whether both programs are there and can be run."""
    return all(os.access(root / program, os.X_OK) for program in PROGRAMS)


def _installed() -> bool:
    """Whether the programs of this system are the C originals, from a package named knockd."""
    return _complete(Path("/")) and all(
        _output(["dpkg-query", "-S", f"/{program}"]).startswith("knockd:") for program in PROGRAMS
    )


def _unpack(root: Path) -> None:
    """Download and unpack, then move into place in one step: other test runs may be at it too."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as scratch:
        try:
            _run(["apt-get", "download", "knockd"], scratch)
        except subprocess.CalledProcessError:  # no package lists yet, or old ones
            _run(["apt-get", "update"], scratch)
            _run(["apt-get", "download", "knockd"], scratch)
        package = next(Path(scratch).glob("knockd_*.deb"))
        _run(["dpkg", "-x", package.name, "knockd"], scratch)
        try:
            os.rename(Path(scratch) / "knockd", root)
        except OSError:
            if not _complete(root):
                raise


def _run(command: list[str], directory: str) -> None:
    """Run to the end; raises CalledProcessError, whose ``stdout`` has all the output."""
    subprocess.run(
        command,
        cwd=directory,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


def _output(command: list[str]) -> str:
    """What a command prints on standard output, whatever its status."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
