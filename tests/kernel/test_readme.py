"""What the README tells a newcomer to do, done word for word."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.lab import ROOT, SERVER_4, SERVER_6, Lab, until
from tests.support.readme import PATH, blocks, clone, command, commands, strange_path

SSH = 22
KINDS = {"nf_tables": "xtables-nft-multi", "legacy": "xtables-legacy-multi"}


def as_newcomer(text: str, checkout: Path, path: str) -> subprocess.CompletedProcess[str]:
    """``text`` in the shell of somebody who has just cloned the repository."""
    environment = {**os.environ, "PATH": path, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        ["bash", "-c", text],
        cwd=checkout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=environment,
    )


def debian() -> None:
    """Skips where there is no apt, or nobody may use it."""
    if os.geteuid() != 0:
        pytest.skip("needs root: installs packages")
    if shutil.which("apt-get") is None:
        pytest.skip("needs Debian or Ubuntu")


def test_the_demo_runs_from_a_fresh_clone(hosts: Lab, tmp_path: Path) -> None:
    debian()
    text = command("See it work", "--demo")
    done = as_newcomer(text, clone(tmp_path), strange_path(tmp_path))
    assert done.returncode == 0, done.stdout
    assert "port 22 is OPEN" in done.stdout
    assert "this is the wrong" not in done.stdout


def test_the_package_is_built_from_a_fresh_clone(tmp_path: Path) -> None:
    debian()
    checkout = clone(tmp_path)
    build = shutil.which("dpkg-checkbuilddeps")
    if build is None or subprocess.run([build], cwd=checkout, capture_output=True).returncode:
        pytest.skip("needs what builds packages: the README's section Install names it")
    text = command("Install", "dpkg-buildpackage")
    done = as_newcomer(text, checkout, strange_path(tmp_path))
    assert done.returncode == 0, done.stdout
    assert len(list(tmp_path.glob("pyknockd_*_all.deb"))) == 1
    assert "this is the wrong" not in done.stdout


class Session:
    """A connection from the client to the server's guarded port, as ssh would have one."""

    def __init__(self, hosts: Lab, listener: socket.socket, host: str) -> None:
        listener.settimeout(10)
        with hosts.client.inside():
            self._client = socket.create_connection((host, SSH), timeout=10)
        self._server, _ = listener.accept()
        self._server.settimeout(10)

    def works(self) -> bool:
        """Whether what is typed arrives, and is answered."""
        try:
            self._client.sendall(b"typed")
            self._server.sendall(self._server.recv(5))
            return self._client.recv(5) == b"typed"
        except OSError:
            return False

    def close(self) -> None:
        self._client.close()
        self._server.close()


def first_steps(word: str) -> list[str]:
    """The commands of the first steps that hold ``word``, in order."""
    return [text for text in commands("First steps") if word in text]


def programs(folder: Path, kind: str) -> Path:
    """A folder in which ``iptables`` and ``ip6tables`` are of one kind, as update-alternatives has it."""
    found = shutil.which(KINDS[kind], path=PATH)
    if found is None:
        pytest.skip(f"needs {KINDS[kind]}")
    bin_folder = folder / "sbin"
    bin_folder.mkdir()
    for name in ("iptables", "ip6tables"):
        (bin_folder / name).symlink_to(found)
    return bin_folder


def on(host: str, hosts: Lab, text: str, path: str) -> None:
    """``text`` in a shell on one of the hosts; it must succeed."""
    namespace = hosts.server if host == "server" else hosts.client
    words = ["env", f"PATH={path}", "bash", "-c", text]
    done = subprocess.run(
        [*namespace.prefix, *words], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, f"{text}: {done.stderr}"


@contextmanager
def listening(hosts: Lab) -> Iterator[dict[str, socket.socket]]:
    """sshd's port, over each family."""
    with hosts.listen(SSH) as four, hosts.listen(SSH, SERVER_6) as six:
        yield {SERVER_4: four, SERVER_6: six}


def door(sbin: Path) -> str:
    """The README's knockd.conf, with the programs of ``sbin``."""
    (text,) = [block.text for block in blocks() if block.language == "ini"]
    assert text.count("/sbin/") == 4
    return text.replace("/sbin/", f"{sbin}/")


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_steps_lock_nobody_out(hosts: Lab, tmp_path: Path, kind: str) -> None:
    """A session survives, the port is shut over both families, and a knock opens it over each."""
    path = f"{programs(tmp_path, kind)}:{PATH}"
    with listening(hosts) as listeners:
        kept = [Session(hosts, listener, host) for host, listener in listeners.items()]
        for text in first_steps("ESTABLISHED"):
            on("server", hosts, text, path)
        assert all(session.works() for session in kept), "Enter, in each session"
        for text in first_steps("-A INPUT -p tcp --dport 22 -j DROP"):
            on("server", hosts, text, path)
        assert all(session.works() for session in kept)
        assert not any(hosts.reaches(SSH, host) for host in listeners)
        (hosts.folder / "pyknockd.yaml").write_text("timers: close\n")
        daemon = hosts.start(door(tmp_path / "sbin"))
        (knock,) = [text for text in commands("Knock") if text.startswith("knock ")]
        knock = knock.replace("knock", f"{sys.executable} -m pyknockd.client", 1)
        for host, listener in listeners.items():
            knocks = knock.partition(" && ")[0].replace("gate.example.org", host)
            on("client", hosts, knocks, path)
            until(partial(hosts.reaches, SSH, host), f"ssh opens\n{daemon.text()}")
            kept.append(_newest(hosts, listener, host))
        assert daemon.stop() == 0
        assert not any(hosts.reaches(SSH, host) for host in listeners), daemon.text()
        assert all(session.works() for session in kept), "what is connected stays connected"
        for session in kept:
            session.close()


def _newest(hosts: Lab, listener: socket.socket, host: str) -> Session:
    """A session of now: what only tried the port is taken off the listener first."""
    listener.settimeout(0)
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return Session(hosts, listener, host)


@pytest.mark.parametrize("text", [one for one in commands("Knock") if "gate" in one])
def test_each_way_to_knock_opens(hosts: Lab, tmp_path: Path, text: str) -> None:
    """The client's lines, with the server's address for a name."""
    sbin = programs(tmp_path, "nf_tables")
    client = sbin / "knock"
    client.write_text(f'#!/bin/sh\nexec {sys.executable} -m pyknockd.client "$@"\n')
    client.chmod(0o755)
    daemon = hosts.start(door(sbin))
    ssh = sbin / "ssh"
    ssh.symlink_to("/bin/true")
    address = text.replace("gate.example.org", SERVER_4)
    words = ["env", f"PATH={sbin}:{PATH}", "bash", "-c", f"{address}\n:"]
    subprocess.run([*hosts.client.prefix, *words], check=True, capture_output=True, cwd=ROOT)
    daemon.wait_for("ssh: OPEN SESAME")


def test_the_setuptools_of_ubuntu_22_04_can_build_it(tmp_path: Path) -> None:
    """It is older than what pyproject.toml may say about a project, and would build "UNKNOWN"."""
    if sys.version_info >= (3, 12):
        pytest.skip("needs a Python that runs setuptools 59.6")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "jammy"], check=True)
    python = str(tmp_path / "jammy/bin/python")
    get = [python, "-m", "pip", "install", "-q", "setuptools==59.6.0", "wheel==0.37.1"]
    done = subprocess.run(get, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs setuptools 59.6 from PyPI: {done.stderr.strip()[-200:]}")
    source = clone(tmp_path)
    shutil.copy(source / "debian/setup.cfg", source)  # as debian/rules does there
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('..'))"
    made = subprocess.run(
        [python, "-c", build], cwd=source, capture_output=True, text=True, check=True
    )
    assert made.stdout.splitlines()[-1].startswith("pyknockd-")
