"""A booted Debian: systemd-nspawn on an overlay, its network one of the lab's namespaces."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import trees
from tests.support.lab import INTERFACE, Lab, lab, until

_UNIFIED = Path("/sys/fs/cgroup/unified")
_BOOT_SECONDS = 40.0
_COMMAND_SECONDS = 120.0
_numbers = itertools.count()


@dataclass
class Machine:
    """A Debian in ``tree``; ``lab`` is its network: it is the server, the tests are the client."""

    name: str
    release: str
    tree: Path
    lab: Lab
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    console: list[Path] = field(default_factory=list)

    def boot(self) -> None:
        """Start it and wait until systemd says that it is up."""
        if _UNIFIED.is_dir():  # process 1 of this host is not systemd
            (_UNIFIED / self.name).mkdir(exist_ok=True)
        log = self.folder / f"console-{next(_numbers)}"
        self.console.append(log)
        words = [
            *("systemd-nspawn", "--quiet", f"--directory={self.tree}", f"--machine={self.name}"),
            *("--register=no", "--keep-unit", "--boot", "--console=pipe"),
            f"--network-namespace-path=/run/netns/{self.lab.server.name}",
            "--capability=CAP_NET_ADMIN",
        ]
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        until(self._is_up, f"the boot of {self.name}: {log}", _BOOT_SECONDS)

    def _is_up(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.said_on_console()
        if not self._leader():
            return False
        # Its process 1 may not be the one that stays yet; then nsenter fails, and is tried again.
        return self.systemctl("is-system-running") in ("running", "degraded")

    def said_on_console(self) -> str:
        return "".join(path.read_text(errors="replace") for path in self.console)

    def _leader(self) -> int:
        """Its process 1 as this host numbers it, or 0."""
        if self.process is None:
            return 0
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            return int(children.read_text().split()[0])
        except (OSError, IndexError):
            return 0

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """``command`` in the machine's shell, whatever its status."""
        return subprocess.run(
            ["nsenter", "--target", str(self._leader()), "--all", "/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_COMMAND_SECONDS,
            check=False,
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL": "C.UTF-8",
                "HOME": "/root",
                "DEBIAN_FRONTEND": "noninteractive",
            },
        )

    def output(self, command: str) -> str:
        """What ``command`` prints; it must succeed."""
        done = self.run(command)
        if done.returncode:
            journal = self.run("journalctl --no-pager -b -n 60 -o short-monotonic").stdout
            raise AssertionError(
                f"{command}: status {done.returncode}\n{done.stdout}\nThe journal:\n{journal}"
            )
        return done.stdout

    def file(self, path: str) -> Path:
        """A file in the machine, as seen from here."""
        return self.tree / path.lstrip("/")

    def write(self, path: str, text: str) -> None:
        target = self.file(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def install(self, *packages: str) -> str:
        """What apt-get says; asks nothing, and fails if it would."""
        words = "apt-get install -q -y --no-install-recommends --allow-downgrades"
        return self.output(f"{words} {' '.join(packages)} </dev/null")

    def install_pyknockd(self, version: str = "") -> str:
        """Install the package from a file, as the README says."""
        deb = trees.package(self.release, version)
        shutil.copy(deb, self.file("/root"))
        return self.install(f"/root/{deb.name}")

    def systemctl(self, words: str) -> str:
        """One word of systemctl's, such as ``is-active knockd``, whatever the status."""
        return self.run(f"systemctl {words}").stdout.strip()

    def journal(self, unit: str = "knockd") -> str:
        return self.output(f"journalctl --sync; journalctl --no-pager --output=short -u {unit}")

    def rules(self, program: str = "iptables") -> list[str]:
        lines = self.output(f"{program} -w -S").splitlines()
        return [line for line in lines if line.startswith("-A")]

    def power_off(self) -> None:
        """Shut down in order; what hangs is killed."""
        if self.process is None:
            return
        leader = self._leader()
        if leader:
            os.kill(leader, signal.SIGRTMIN + 4)  # systemd(1): poweroff.target
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process = None

    def reboot(self) -> None:
        """Down and up again: the tree stays, the firewall's rules do not."""
        self.power_off()
        server = self.lab.server
        for program in ("iptables", "ip6tables"):
            server.run(program, "-F")
            server.run(program, "-P", "INPUT", "ACCEPT")
        server.run("nft", "flush", "ruleset")
        self.boot()


def knock(machine: Machine, *ports: str | int) -> None:
    machine.lab.knock(*ports)


@contextmanager
def machine(release: str, folder: Path) -> Iterator[Machine]:
    """A plain Debian, booted; gone afterwards, with its network and all it has written."""
    lower = str(trees.base(release))
    name = f"pk{os.getpid()}-{next(_numbers)}"
    memory = folder / "memory"  # dpkg waits for the disk; memory does not let it wait
    memory.mkdir()
    with (
        lab(folder) as made,
        trees.mounted("tmpfs", memory),
        trees.overlay(lower, memory) as tree,
    ):
        host = Machine(name, release, tree, made, folder)
        host.write("/etc/hostname", "gate\n")
        try:
            host.boot()
            yield host
        finally:
            host.power_off()
            _remove_cgroups(_UNIFIED / name)


def _remove_cgroups(top: Path) -> None:
    """The groups that the machine has left behind, the innermost first."""
    deadline = time.monotonic() + 5
    for folder, _, _ in os.walk(top, topdown=False):
        while time.monotonic() < deadline:
            try:
                os.rmdir(folder)
                break
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.05)


CONFIG = """\
[options]
{log}

[openSSH]
    sequence    = 7000,8000,9000
    seq_timeout = 5
    tcpflags    = syn
    command     = /sbin/iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT

[closeSSH]
    sequence    = 9000,8000,7000
    seq_timeout = 5
    tcpflags    = syn
    command     = /sbin/iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT

[timedSSH]
    sequence      = 2222,3333
    tcpflags      = syn
    start_command = /sbin/iptables -I INPUT -s %IP% -p tcp --dport 2200 -j ACCEPT
    cmd_timeout   = {seconds}
    stop_command  = /sbin/iptables -D INPUT -s %IP% -p tcp --dport 2200 -j ACCEPT
"""


def configure(host: Machine, *, seconds: int = 10, log: str = "UseSyslog", start: int = 1) -> None:
    """What an admin writes: doors, and the toggle."""
    host.write("/etc/knockd.conf", CONFIG.format(seconds=seconds, log=log))
    host.file("/etc/knockd.conf").chmod(0o640)
    host.write(
        "/etc/default/knockd",
        f'START_KNOCKD={start}\n\nKNOCKD_OPTS="-i {INTERFACE}"  # the cable\n',
    )


def wait_for_rule(host: Machine, port: int, present: bool = True) -> None:
    def as_wanted() -> bool:
        return any(f"--dport {port} -j ACCEPT" in rule for rule in host.rules()) is present

    until(as_wanted, f"a rule for port {port} to be {'there' if present else 'gone'}")


def wait_for_line(host: Machine, text: str, times: int) -> None:
    """Until the journal has a line with ``text`` so many times."""
    until(lambda: host.journal().count(text) >= times, f"{times} times in the journal: {text}")


def opens(host: Machine) -> None:
    """The first knock opens, and the reverse one closes."""
    knock(host, 7000, 8000, 9000)
    wait_for_rule(host, 22)
    knock(host, 9000, 8000, 7000)
    wait_for_rule(host, 22, present=False)
