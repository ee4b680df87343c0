"""The command line, and what is said when something is wrong."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pyknockd.cli import main
from tests.support.captures import RAW, At, pcap
from tests.support.lab import ROOT
from tests.support.packets import ELSEWHERE, Route, ipv4, tcp

BAD = "[ssh]\nsequense = 7000\ntcpflags = syn, ack\n[web]\nsequence = 70000\ncommand = true\n"


def knockd(*options: str, **more: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "pyknockd", *options]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload, no-any-return]


def test_the_version_begins_with_knockds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-V"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "knockd 0.8"


@pytest.mark.parametrize("words", [["-x"], ["--nonsense"], ["-c"], ["-Dx"]])
def test_an_unknown_option_prints_the_usage_and_ends_with_2(words: list[str]) -> None:
    done = knockd(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: knockd")
    assert done.stderr.splitlines()[-1].startswith("knockd: ")


def test_a_check_refuses_a_file_that_it_would_not_look_at(
    good: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check", good]) == 2
    said = f"knockd: unexpected argument {good}; to check another file: knockd --check -c {good}\n"
    assert capsys.readouterr().err == said


def test_a_start_passes_over_what_knockd_passes_over_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["-c", "/nowhere/knockd.conf", "start", "-v"]) == 78
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "knockd: start is passed over; to read another file: -c start"
    assert said[1].startswith("knockd: cannot read /nowhere/knockd.conf")


def test_every_mistake_is_reported_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.conf"
    path.write_text(BAD)
    path.chmod(0o600)
    assert main(["--check", "-c", str(path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{path}:{n}" for n in (1, 2, 3, 4, 5)]
    assert "sequence" in lines[1]
    assert "expected" in lines[1]


def test_a_file_that_cannot_be_read_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", "/nowhere/knockd.conf"]) == 78
    expected = "knockd: cannot read /nowhere/knockd.conf: No such file or directory\n"
    assert capsys.readouterr().err == expected


def test_the_service_manager_is_told_why_it_cannot_start(tmp_path: Path) -> None:
    path = tmp_path / "bad.conf"
    path.write_text(BAD)
    path.chmod(0o602)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "manager"))
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "manager")}
        assert knockd("--check", "-c", str(path), env=environment).returncode == 1
        assert knockd("-d", "-c", str(path), env=environment).returncode == 78
        manager.setblocking(False)
        said = manager.recv(1000).decode()
        assert said.startswith(f"STATUS=not started: {path}:1: [ssh] has no sequence; ")
        assert said.endswith(" (and 4 more)")
        with pytest.raises(BlockingIOError):
            manager.recv(1000)


def test_warnings_are_told_and_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "odd.conf"
    path.write_text("[a]\nsequence = 7000,ssh,9000 # mine\nseq_timeout = 0\n")
    assert main(["--check", "-c", str(path)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert f"{path}:2: warning: 'ssh' is read as port 0" in lines
    assert any("9000" in line and "ignored" in line for line in lines)
    assert any(line.startswith(f"{path}:3: warning: a timeout of 0") for line in lines)


def test_what_is_surely_not_meant_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.conf"
    path.write_text("[a]\nsequence = 1\ncommand = /sbin/iptabels -I INPUT -s %ip% -j ACCEPT\n")
    path.chmod(0o600)
    assert main(["--check", "-c", str(path)]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"{path}:3: warning: %ip% stays as it is; only %IP% is replaced"
    assert told[1] == f"{path}: warning: no such program: /sbin/iptabels"


def test_bytes_that_are_no_text_are_printed_as_they_are(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "bytes.conf"
    path.write_bytes(b"[d\xfcr]\nsequence = 1\n")
    assert main(["--check", "-D", "-c", str(path)]) == 0
    assert b"config: new section: 'd\xfcr'\n" in capfdbinary.readouterr().out


def test_a_file_that_others_can_read_or_change_is_a_warning(
    good: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.chmod(good, 0o600)
    assert main(["--check", "-c", good]) == 0
    assert capsys.readouterr().err == ""
    os.chmod(good, 0o666)
    assert main(["--check", "-c", good]) == 0
    told = capsys.readouterr().err
    assert f"{good}: warning: everybody can read the sequences; try: chmod o-r {good}" in told
    assert f"{good}: warning: others can change what root runs; try: chmod go-w {good}" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--json"], "--address and --json go with --read"),
        (["--address", "192.0.2.1"], "--address and --json go with --read"),
        (["--read", "x", "--address", "gate"], "'gate' does not appear to be"),
        (["--read"], "expected one argument"),
    ],
)
def test_what_goes_with_a_capture_goes_with_nothing_else(words: list[str], said: str) -> None:
    done = knockd(*words)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_capture_is_told_of_with_the_addresses_that_are_given(good: str, tmp_path: Path) -> None:
    capture = tmp_path / "capture.pcap"
    packets = [At(1.0, ipv4(tcp(7000))), At(1.5, ipv4(tcp(8000), route=ELSEWHERE))]
    capture.write_bytes(pcap(packets, RAW))
    addresses = ("--address", "192.0.2.8, 192.0.2.1", "--address", "2001:DB8:0::1")
    done = knockd("--read", str(capture), "-c", good, *addresses)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "198.51.100.7"
    assert "ssh: stage 1 of 2: 7000" in lines[1]
    assert "8000 came to 192.0.2.9, which is not an address of this host" in lines[2]
    assert lines[-1].endswith("The host: 192.0.2.8, 192.0.2.1, 2001:db8::1")


def test_who_has_seen_enough_of_a_capture_is_not_told_of_an_error(
    good: str, tmp_path: Path
) -> None:
    capture = tmp_path / "capture.pcap"
    sources = [Route(f"198.51.{n // 250}.{n % 250}", "192.0.2.1") for n in range(2_000)]
    capture.write_bytes(pcap([At(1.0, ipv4(tcp(7000), route=one)) for one in sources], RAW))
    words = f"{sys.executable} -m pyknockd --read {capture} --json -c {good} | head -1"
    done = subprocess.run(
        ["sh", "-c", words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_a_full_disk_is_told(good: str, tmp_path: Path) -> None:
    capture = tmp_path / "capture.pcap"
    capture.write_bytes(pcap([At(1.0, ipv4(tcp(7000)))], RAW))
    words = f"{sys.executable} -m pyknockd --read {capture} -c {good} >/dev/full"
    done = subprocess.run(
        ["sh", "-c", words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "knockd: cannot write: No space left on device\n"
