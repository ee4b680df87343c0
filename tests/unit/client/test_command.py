"""The knock client's arguments, and what it says. Its packets: tests/kernel and tests/knockd."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyknockd import __version__, client
from pyknockd.client.arguments import read_delay
from pyknockd.client.errands import ClientError
from tests.support.lab import PATIENCE, ROOT

ORIGINAL_VERSION = "knock 0.8"


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["127.0.0.1"],
        ["-v", "127.0.0.1"],
        ["-h"],
        ["--help", "127.0.0.1", "9"],
        ["127.0.0.1", "9", "--he"],
        ["-h", "-V"],
        ["-d", "127.0.0.1", "9"],
        ["--", "-V"],
    ],
)
def test_the_usage_text_goes_to_standard_output_with_status_1(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.main(argv) == 1
    out, err = capsys.readouterr()
    assert out.startswith("usage: knock [options]") and not err
    for option in ("-u, --udp", "-d, --delay", "-4, --ipv4", "-6, --ipv6", "-v, --verbose"):
        assert option in out


@pytest.mark.parametrize(
    ("argv", "culprit"),
    [
        (["--bogus", "127.0.0.1", "9"], "--bogus"),
        (["-x", "127.0.0.1", "9"], "-x"),
        (["-ux", "127.0.0.1", "9"], "-x"),
        (["--ver", "127.0.0.1", "9"], "--ver"),
        (["--verbose=1", "127.0.0.1", "9"], "--verbose"),
        (["127.0.0.1", "9", "-d"], "-d"),
        (["127.0.0.1", "9", "--delay"], "--delay"),
    ],
)
def test_a_wrong_option_is_named_on_standard_error_above_the_usage_text(
    argv: list[str], culprit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.main(argv) == 1
    out, err = capsys.readouterr()
    assert out.startswith("usage: ")
    assert err.startswith("knock: ") and err.count("\n") == 1 and culprit in err


@pytest.mark.parametrize("argv", [["-V"], ["--version", "-h"], ["-v", "host", "-V"], ["--vers"]])
def test_the_version_begins_with_the_line_of_the_original(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.main(argv) == 0
    assert capsys.readouterr().out.splitlines() == [ORIGINAL_VERSION, f"pyknockd {__version__}"]


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        (["-uv", "-d5", "127.0.0.1", "9"], ["udp 127.0.0.1:9"]),
        (["127.0.0.1", "9:udp", "-v"], ["udp 127.0.0.1:9"]),
        (["127.0.0.1", "--del", "5", "9", "--udp", "9", "--verb"], ["udp 127.0.0.1:9"] * 2),
        (["-v", "--delay=5", "127.0.0.1", "9:tcp", "09:udp"], ["tcp 127.0.0.1:9", "udp 127.0.0.1:09"]),
        (["-6", "-4", "-v", "--", "127.0.0.1", "9:udp"], ["udp 127.0.0.1:9"]),
        (["127.0.0.1", "9:udp"], []),
    ],
)  # fmt: skip
def test_options_are_read_with_getopts_habits(
    argv: list[str], lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.main(argv) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"hitting {line}" for line in lines] and not err


@pytest.mark.parametrize(
    ("argv", "culprit"),
    [
        (["-6", "127.0.0.1", "9"], "127.0.0.1"),
        (["", "9"], "''"),
        (["127.0.0.1", "9", "no-such-service"], "no-such-service"),
        (["127.0.0.1", "9", "0x9"], "0x9"),
        (["127.0.0.1", "9", "9 "], "'9 '"),
        (["127.0.0.1", "9", "65536"], "65536"),
        (["127.0.0.1", "9", "--", "-1"], "-1"),
        (["127.0.0.1", "9", ":udp"], "port"),
        (["127.0.0.1", "9", ""], "port"),
        (["127.0.0.1", "9", "\udcff"], "port"),
        (["-d-5", "127.0.0.1", "9"], "-5"),
        (["-d", "99999999999", "127.0.0.1", "9"], "99999999999"),
    ],
)
def test_what_cannot_be_resolved_ends_in_one_line_and_nothing_sent(
    argv: list[str], culprit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.main(["-v", *argv]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("knock: ") and err.count("\n") == 1 and culprit in err


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        (["127.0.0.1", "9:udp,10:udp"], ["udp 127.0.0.1:9", "udp 127.0.0.1:10"]),
        (["127.0.0.1", "9:udp, 10:udp", "11:udp"], [f"udp 127.0.0.1:{n}" for n in (9, 10, 11)]),
        (["-u", "127.0.0.1", "9,10"], ["udp 127.0.0.1:9", "udp 127.0.0.1:10"]),
        (["127.0.0.1", "9/udp,9/tcp"], ["udp 127.0.0.1:9", "tcp 127.0.0.1:9"]),
        (["[127.0.0.1]", "9/udp"], ["udp 127.0.0.1:9"]),
    ],
)
def test_ports_and_addresses_as_they_are_written_elsewhere_are_understood(
    argv: list[str], lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.main(["-v", *argv]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [f"hitting {line}" for line in lines] and not err


@pytest.mark.parametrize(
    ("argv", "advice"),
    [
        (
            ["127.0.0.1", "9;10"],
            "ports stand apart by blanks: knock gate.example.org 7000 8000:udp",
        ),
        (["127.0.0.1", "9-10"], "ports stand apart by blanks"),
        (["127.0.0.1", "http2x"], "write a number from 0 to 65535"),
        (["127.0.0.1", "9,,10"], "a port is missing"),
        (["127.0.0.1", "9/UDP"], "write 9:tcp or 9:udp"),
        (["-6", "127.0.0.1", "9"], "-6 wants an IPv6 one"),
        (["-4", "::1", "9"], "-4 wants an IPv4 address"),
    ],
)
def test_what_is_not_understood_says_what_to_write(
    argv: list[str], advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.main(["-v", *argv]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert advice in err


@pytest.mark.parametrize("protocol", ["UDP", "foo", "", " udp", "tcp:udp", "udp:tcp", "udpx"])
def test_a_protocol_that_is_none_means_tcp_and_is_warned_of(
    protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.main(["-v", "127.0.0.1", f"9:{protocol}"]) == 0
    out, err = capsys.readouterr()
    assert out == "hitting tcp 127.0.0.1:9\n"
    assert err.startswith("knock: warning: ") and repr(protocol) in err


@settings(deadline=None, database=None)
@given(st.text(" \t+-0123456789x.", max_size=9))
def test_a_delay_is_read_as_atoi_reads_it(text: str) -> None:
    expected = ctypes.CDLL(None).atoi(text.encode())
    if expected < 0:
        with pytest.raises(ClientError):
            read_delay(text)
    else:
        assert read_delay(text)[0] == expected / 1000


def test_a_delay_that_is_no_number_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert client.main(["-d", "5ms", "127.0.0.1", "9:udp"]) == 0
    assert capsys.readouterr().err.startswith("knock: warning: delay '5ms'")


def test_a_closed_output_does_not_stop_the_knocking() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard, open("/dev/full", "w") as full:
        heard.bind(("127.0.0.1", 0))
        heard.settimeout(PATIENCE)
        port = str(heard.getsockname()[1])
        ran = subprocess.run(
            [sys.executable, "-m", "pyknockd.client", "-uv", "127.0.0.1", port, port],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, check=False, timeout=PATIENCE,
        )  # fmt: skip
        assert (heard.recv(9), heard.recv(9)) == (b"\0", b"\0")
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_an_interrupt_ends_the_client_quietly_with_status_130() -> None:
    """By way of env, since a shell's background jobs, such as CI's, begin with SIGINT ignored."""
    with subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "pyknockd.client",
         "-uv", "-d60000", "127.0.0.1", "9", "9"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as ran:  # fmt: skip
        assert ran.stdout
        first = ran.stdout.readline()
        ran.send_signal(signal.SIGINT)
        rest = ran.communicate(timeout=PATIENCE)
    assert (first, rest, ran.returncode) == ("hitting udp 127.0.0.1:9\n", ("", ""), 130)
