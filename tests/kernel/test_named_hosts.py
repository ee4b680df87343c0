"""The client with hosts by name, real doors, and ssh through it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.doors import ssh
from tests.support.lab import CLIENT_4, CLIENT_6, ROOT, SERVER_4, SERVER_6, Lab, Running, until

RULE = ("-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "DROP")
CLOSES = (
    "[closeSSH]\nsequence = 9000,8000,7000\nseq_timeout = 15\ntcpflags = syn\n"
    "command = iptables-nft -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n"
)
HOSTS = f"""
hosts:
  home:
    address: {SERVER_4}
    sequence: [7000, 8000, 9000]
    wait: 22,10
    close: 9000,8000,7000
  six:
    address: "{SERVER_6}"
    sequence: 7000,8000,9000
    wait: 22
  nobody:
    address: 10.77.0.77
    sequence: 7000
    wait: 22,0.3
    retries: 0
groups:
  office: [home, six]
  all: [home, six, nobody]
"""


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """The folder of a user with a hosts.yaml."""
    folder = tmp_path / "config"
    (folder / "knock").mkdir(parents=True)
    path = folder / "knock" / "hosts.yaml"
    path.write_text(HOSTS)
    path.chmod(0o600)
    return folder


def knock(hosts: Lab, named: Path, *words: str, status: int = 0) -> str:
    done = subprocess.run(
        [*hosts.client.prefix, sys.executable, "-m", "pyknockd.client", *words],
        cwd=ROOT, env={**os.environ, "XDG_CONFIG_HOME": str(named)}, timeout=60,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def guarded(hosts: Lab, timed: float | None = 300) -> Running:
    """A server whose port 22 is shut for both families but by a knock."""
    for program in ("iptables-nft", "ip6tables-nft"):
        hosts.server.run(program, *RULE)
    return hosts.start(ssh("iptables-nft", timed=timed))


def test_a_host_is_opened_waited_for_and_closed_by_its_name(hosts: Lab, named: Path) -> None:
    guarded(hosts, timed=None)
    with hosts.listen(22):
        knock(hosts, named, "home")
        assert any(CLIENT_4 in rule for rule in hosts.rules("iptables-nft"))
        knock(hosts, named, "--close", "home")
        until(lambda: len(hosts.rules("iptables-nft")) == 1, "it is closed")
        said = knock(hosts, named, "--retries", "0", "nobody", status=3)
        assert "22" in said


def test_a_group_is_knocked_side_by_side(hosts: Lab, named: Path) -> None:
    guarded(hosts)
    with hosts.listen(22), hosts.listen(22, SERVER_6):
        found = json.loads(knock(hosts, named, "--json", "@office"))
        assert [(one["name"], one["result"]) for one in found] == [
            ("home", "open"),
            ("six", "open"),
        ]
        said = knock(hosts, named, "@all", status=3)
    assert "nobody" in said
    assert any(CLIENT_6 in rule for rule in hosts.rules("ip6tables-nft"))


def test_what_would_be_sent_is_explained_and_nothing_is_sent(hosts: Lab, named: Path) -> None:
    daemon = guarded(hosts)
    said = knock(hosts, named, "--explain", "home")
    assert SERVER_4 in said
    assert "tcp 7000" in said
    assert "home" in knock(hosts, named, "--list")
    assert "@office  home six" in knock(hosts, named, "--list")
    said = knock(hosts, named, "hme", status=1)
    assert "there are: home, six, nobody" in said
    assert "Stage" not in daemon.text()


def test_one_call_knocks_over_both_families(hosts: Lab, named: Path) -> None:
    daemon = guarded(hosts)
    (hosts.folder / "hosts").write_text(f"{SERVER_4} gate\n{SERVER_6} gate\n")
    words = ["knock", "--both", "gate", "7000", "8000", "9000"]
    inside = f'mount --bind {hosts.folder}/hosts /etc/hosts; shift; exec "$@"'
    client = [sys.executable, "-m", "pyknockd.client", *words[1:]]
    subprocess.run(
        [*hosts.client.prefix, "unshare", "-m", "sh", "-c", inside, "sh", "x", *client],
        cwd=ROOT, check=True,
    )  # fmt: skip
    daemon.wait_for(f"{CLIENT_4}: openSSH: OPEN SESAME")
    daemon.wait_for(f"{CLIENT_6}: openSSH: OPEN SESAME")


@pytest.mark.parametrize("way", [["--connect"], ["-s", CLIENT_4], ["-I", "client0"]])
def test_a_knock_goes_the_way_it_is_told(hosts: Lab, named: Path, way: list[str]) -> None:
    daemon = guarded(hosts)
    with hosts.listen(8000):  # one that answers, for the whole connection
        knock(hosts, named, *way, SERVER_4, "7000", "8000", "9000")
        daemon.wait_for(f"{CLIENT_4}: openSSH: OPEN SESAME")


def test_a_file_that_others_may_write_is_refused(hosts: Lab, named: Path) -> None:
    path = named / "knock" / "hosts.yaml"
    path.chmod(0o666)
    assert str(path) in knock(hosts, named, "home", status=1)
    path.chmod(0o600)
    path.write_text("hosts:\n  home:\n    adress: x\n")
    assert f"{path}:3: no key adress" in knock(hosts, named, "home", status=1)


# --- ssh ------------------------------------------------------------------------------------------


@pytest.fixture
def sshd(hosts: Lab, tmp_path: Path) -> Path:
    """A real sshd on the server, and a configuration for ssh that gets in with a key."""
    if not shutil.which("sshd", path="/usr/sbin") or not shutil.which("ssh"):
        pytest.skip("needs openssh-server and openssh-client")
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True
        )
    shutil.copy(tmp_path / "user.pub", tmp_path / "authorized")
    (tmp_path / "sshd_config").write_text(
        f"HostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/authorized\nStrictModes no\n"
        "UsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nPidFile none\n"
    )
    inside = "mount -t tmpfs none /run && mkdir /run/sshd && exec /usr/sbin/sshd -D -e -f "
    running = hosts.spawn(["unshare", "-m", "sh", "-c", f"{inside}{tmp_path}/sshd_config"])
    running.wait_for("Server listening on 0.0.0.0 port 22")
    config = tmp_path / "ssh_config"
    config.write_text(
        f"Host *\n IdentityFile {tmp_path}/user\n IdentitiesOnly yes\n StrictHostKeyChecking no\n"
        f" UserKnownHostsFile {tmp_path}/known\n LogLevel ERROR\n User root\n"
    )
    return config


@pytest.mark.parametrize("fdpass", [False, True])
def test_ssh_gets_in_through_knock(hosts: Lab, named: Path, sshd: Path, fdpass: bool) -> None:
    daemon = guarded(hosts)
    proxy = f"{sys.executable} -m pyknockd.client {'--fdpass ' * fdpass}-W %h:%p home"
    options = ["-o", f"ProxyCommand={proxy}"]
    options += ["-o", "ProxyUseFdpass=yes"] if fdpass else []
    script = "head -c 300000 /dev/zero | wc -c; cat"
    done = subprocess.run(
        [*hosts.client.prefix, "ssh", "-F", sshd, *options, SERVER_4, script],
        cwd=ROOT, input="said\n", capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "XDG_CONFIG_HOME": str(named)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "300000\nsaid\n"), done.stderr
    daemon.wait_for("OPEN SESAME")
