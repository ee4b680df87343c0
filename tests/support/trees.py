"""Debian trees to boot, and the package to install in them: made once, kept in ~/.cache/pyknockd.

A tree is what debootstrap makes, with the packages that pyknockd depends on, and others that the
tests install waiting in apt's cache: a booted tree has no network. It is never written to again;
each user puts an overlay on top.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyknockd.system.netns import Namespace
from tests.support.lab import ROOT

RELEASES = ("bookworm", "trixie")
MIRROR = "http://deb.debian.org/debian"

_BASE = "systemd,systemd-sysv,dbus,iproute2,iptables,rsyslog"
_DEPENDS = ("python3-scapy", "python3-iptables", "python3-nftables", "python3-yaml", "nftables")
# Installed by the tests that need them.
_ON_CALL = (
    *("knockd", "ufw", "iptables-persistent", "openssh-server", "logrotate"),
    *("fail2ban", "python3-systemd"),
)
_BUILD = (
    *("build-essential", "debhelper", "dh-python", "pybuild-plugin-pyproject"),
    *("python3-all", "python3-setuptools", "lintian"),
)
_TEST = (
    *("python3-pytest", "python3-hypothesis", "python3-cryptography", "fwknop-client"),
    *("oathtool", "openssl"),
)
_NOT_SOURCE = (".git", ".venv", ".hypothesis", ".benchmarks", "__pycache__", ".*_cache", "build")
_MINUTES_60 = 3600.0


class TreeError(Exception):
    """A tree or the package cannot be made; the text is what the tools said."""


def run(*words: str | Path, cwd: Path | None = None) -> str:
    """What a program prints. Raises TreeError, with all of its output, if it fails."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=_MINUTES_60,
        check=False,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
    )
    if done.returncode:
        raise TreeError(f"{' '.join(map(str, words))}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def cache() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pyknockd" / "trees"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """One test run at a time makes the same tree; the others find it made."""
    with (cache() / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


@functools.cache
def base(release: str) -> Path:
    """The tree of ``release``. Raises TreeError."""
    name = f"{release}-{_digest(_BASE, _DEPENDS, _ON_CALL)}"
    tree = cache() / name
    with _locked(name):
        if not tree.exists():
            scratch = cache() / f"{name}.partial"
            shutil.rmtree(scratch, ignore_errors=True)
            _make_base(release, scratch)
            scratch.rename(tree)
    return tree


def _make_base(release: str, tree: Path) -> None:
    run("debootstrap", "--variant=minbase", f"--include={_BASE}", release, tree, MIRROR)
    for settings in Path("/etc/apt/apt.conf.d").glob("99*"):  # this host's way to the mirror
        shutil.copy(settings, tree / "etc/apt/apt.conf.d")
    shutil.copy("/etc/resolv.conf", tree / "etc/resolv.conf")
    install = ("apt-get", "install", "-q", "-y", "--no-install-recommends")
    with mounted("proc", tree / "proc"):
        run("chroot", tree, "apt-get", "update", "-q")
        run("chroot", tree, *install, *_DEPENDS)
        for package in _ON_CALL:
            run("chroot", tree, *install, "-d", package)


@contextmanager
def mounted(kind: str, where: Path, *options: str) -> Iterator[None]:
    run("mount", "-t", kind, *options, kind, where)
    try:
        yield
    finally:
        run("umount", "--lazy", where)


@contextmanager
def overlay(lower: str, folder: Path) -> Iterator[Path]:
    """A tree that can be written to, on top of ``lower``; what is written goes to ``folder``."""
    upper, work, merged = folder / "upper", folder / "work", folder / "tree"
    for path in (upper, work, merged):
        path.mkdir(parents=True, exist_ok=True)
    layers = f"lowerdir={lower},upperdir={upper},workdir={work}"
    with mounted("overlay", merged, "-o", layers):
        yield merged


def build_layer(release: str) -> str:
    """The tree with what builds packages on top, as an overlay's lower layers."""
    return _layer(release, "build", _BUILD)


def testing_layer(release: str) -> str:
    """The tree with what runs the tests on top, as an overlay's lower layers."""
    return _layer(release, "test", _TEST)


@functools.cache
def _layer(release: str, purpose: str, packages: tuple[str, ...]) -> str:
    lower = base(release)
    name = f"{lower.name}-{purpose}-{_digest(packages)}"
    layer = cache() / name
    with _locked(name):
        if not layer.exists():
            scratch = cache() / f"{name}.partial"
            shutil.rmtree(scratch, ignore_errors=True)
            with overlay(str(lower), scratch) as tree, mounted("proc", tree / "proc"):
                install = ("apt-get", "install", "-q", "-y", "--no-install-recommends")
                run("chroot", tree, *install, *packages)
            (scratch / "upper").rename(layer)
            shutil.rmtree(scratch, ignore_errors=True)
    return f"{layer}:{lower}"


# What a program needs besides its tree; all of it goes with its last process.
_INSIDE = """
mount -t proc proc "$0/proc"
mount -t sysfs sysfs "$0/sys"
mount --rbind /dev "$0/dev"
mount -t tmpfs tmpfs "$0/run"
mount -t tmpfs tmpfs "$0/tmp"
ip link set lo up
folder=$1
shift
exec chroot "$0" env -i --chdir="$folder" PATH=/usr/sbin:/usr/bin HOME=/root LC_ALL=C.UTF-8 "$@"
"""


def inside(tree: Path, folder: str, *words: str, network: Namespace | None = None) -> str:
    """What ``words`` print in a folder of ``tree``; in a network of its own, if none is named.

    Raises TreeError if they fail.
    """
    apart = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
    where = network.prefix if network else ["unshare", "--net"]
    return run(*where, *apart, "sh", "-euc", _INSIDE, tree, folder, *words)


def _sources() -> list[Path]:
    """What a checkout holds, and what is new in it; everything else stays behind."""
    listed = run("git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z")
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def copy_sources(target: Path) -> None:
    for path in _sources():
        copy = target / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)


@functools.cache
def package(release: str, version: str = "") -> Path:
    """``pyknockd_*.deb``, built on ``release`` without network; ``version`` in place of its own."""
    sources = _sources()
    content = [(str(path.relative_to(ROOT)), path.read_bytes()) for path in sources]
    folder = cache() / "packages" / f"{release}-{_digest(content, version)}"
    with _locked(folder.name):
        if not list(folder.glob("*.deb")):
            with tempfile.TemporaryDirectory(dir=cache()) as scratch:
                _build(release, version, Path(scratch), folder)
    return next(folder.glob("pyknockd_*.deb"))


def _build(release: str, version: str, scratch: Path, result: Path) -> None:
    """Build and look through with lintian; the package and ``lintian.txt`` go to ``result``."""
    with overlay(build_layer(release), scratch) as tree, mounted("proc", tree / "proc"):
        source = tree / "build" / "pyknockd"
        copy_sources(source)
        if version:
            log = source / "debian/changelog"
            log.write_text(log.read_text().replace("(1.0.0)", f"({version})", 1))
        inside = ("unshare", "--net", "chroot", tree, "sh", "-c")
        run(*inside, "cd /build/pyknockd && dpkg-buildpackage -b -us -uc")
        said = run(*inside, "cd /build && lintian --pedantic --allow-root pyknockd_*.changes")
        result.mkdir(parents=True, exist_ok=True)
        (result / "lintian.txt").write_text(said)
        for deb in (tree / "build").glob("*.deb"):
            shutil.copy(deb, result)
