"""Packets of Debian's own fwknop-client, over the loopback of a namespace.

What the client says of each packet with ``-v`` is held against what is read from it.
"""

from __future__ import annotations

import base64
import os
import random
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pyknockd.model.access import Digest, Keys, MessageType, Secret
from pyknockd.proof.replays import Replays, Use
from pyknockd.proof.spa import Arrival, Grant, Reason, Refusal, Spa
from pyknockd.system.netns import Namespace
from tests.support.lab import PATIENCE
from tests.support.spa import access

pytest.importorskip("cryptography", reason="needs python3-cryptography")
HERE, PORT = "127.0.0.1", 62_201
OPTIONS = {
    MessageType.COMMAND: ["-C", "/bin/echo 'a:b,c'"],
    MessageType.ACCESS: [],
    MessageType.NAT: ["-N", "10.0.3.4:2222"],
    MessageType.ACCESS_TIMEOUT: ["-f", "90"],
    MessageType.NAT_TIMEOUT: ["-N", "10.0.3.4:2222", "--nat-port", "40022", "-f", "301"],
    MessageType.LOCAL_NAT: ["--nat-local", "--nat-port", "40022"],
    MessageType.LOCAL_NAT_TIMEOUT: ["--nat-local", "--nat-port", "40022", "-f", "1"],
}
KEYS = [
    *(b"k", b"eight...", b"sixteen octets..", b"thirty-two octets of ASCII, yes."),
    *(bytes(range(32)), b"\0\0\xff" * 6 + b"\0\1", b"\xff"),
]
HMAC_KEYS = [
    b"h",
    b"h" * 16,
    b"h" * 64,
    *(bytes([255, 0, *range(n - 2)]) for n in (65, 73, 127, 128)),
]
ADDRESSES = [["-s"], ["-a", "192.0.2.10"], ["-a", "10.255.0.1"], ["-a", "203.0.113.254"]]
PORTS = ["tcp/22", "udp/53", "tcp/22,udp/53", "tcp/1,tcp/65535", "tcp/22,tcp/80,tcp/443,udp/1194"]
USERS = ["alice", "a", "a.b-c_d", "twenty-nine-octets-of-a-name."]
CLOCKS = {"": 0, "--time-offset-plus 90sec": 90, "--time-offset-minus 3d": -259_200}
_FIELD = re.compile(r"^ *([A-Z][A-Za-z ]+): (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Heard:
    """A payload, where it came from, and what the client said of it."""

    payload: bytes
    source: str
    said: dict[str, str]


class Client:
    """fwknop, in a namespace where its packets are heard."""

    def __init__(self, namespace: Namespace, home: Path) -> None:
        self._namespace = namespace
        self._environment = {**os.environ, "HOME": str(home)}
        with namespace.inside():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HERE, PORT))
        self._socket.settimeout(PATIENCE)

    def send(self, *options: str) -> Heard:
        """One packet."""
        words = ["fwknop", "--no-rc-file", "--no-save-args", "-v", "-D", HERE, *options]
        with self._namespace.inside():
            done = subprocess.run(
                words, env=self._environment, capture_output=True, text=True, check=False
            )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        payload, (source, _port) = self._socket.recvfrom(65_536)
        said: dict[str, str] = {}
        for name, value in _FIELD.findall(done.stdout):
            said.setdefault(name, value)
        return Heard(payload, source, said)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces")
    if shutil.which("fwknop") is None:
        pytest.skip("needs fwknop-client")
    namespace = Namespace(f"pk{os.getpid()}-spa")
    try:
        made = Client(namespace, tmp_path_factory.mktemp("home"))
        yield made
        made.close()
    finally:
        namespace.delete()


def key_options(keys: Keys) -> list[str]:
    words = ["--hmac-digest-type", keys.hmac_digest.value]
    for name, secret in (("rijndael", keys.encryption), ("hmac", keys.hmac)):
        text = secret.octets.decode("latin-1")
        if text.isascii() and text.isprintable():
            words += [f"--key-{name}", text]
        else:
            words += [f"--key-base64-{name}", base64.b64encode(secret.octets).decode()]
    return words


def judged(keys: Keys, heard: Heard, offset: int = 0) -> Grant | Refusal:
    """What comes of a packet at the time that it says, less how far the client's clock was off."""
    door = access(keys=keys, open_ports=None, may_nat=True, may_nat_locally=True)
    time = int(heard.said["Timestamp"]) - offset
    return Spa([door]).hear(heard.payload, Arrival(heard.source, "192.0.2.1", time))


def check_fields(answer: Grant | Refusal, heard: Heard) -> None:
    message, said = answer.message, heard.said
    assert message is not None
    nat = f"{message.nat.host},{message.nat.port}" if message.nat else "<NULL>"
    assert message.random == said["Random Value"]
    assert message.user == said["Username"]
    assert message.stamped == int(said["Timestamp"])
    assert message.kind.value == int(said["Message Type"].split()[0])
    assert message.text == said["Message String"]
    assert nat == said["Nat Access"]
    assert message.timeout == int(said["Client Timeout"])


def check_grant(answer: Grant | Refusal, heard: Heard) -> None:
    assert isinstance(answer, Grant), answer
    address, _, request = heard.said["Message String"].partition(",")
    assert answer.address == (heard.source if address == "0.0.0.0" else address)
    assert ",".join(map(str, answer.ports)) == request
    assert answer.seconds == min(int(heard.said["Client Timeout"]), 300) or answer.seconds == 30
    assert (answer.nat is not None) == answer.message.kind.has_nat


@pytest.mark.parametrize("kind", MessageType)
def test_every_kind_of_packet_is_read_as_its_sender_says(client: Client, kind: MessageType) -> None:
    """49 of each kind: every digest with every HMAC, the rest by turns."""
    chance = random.Random(kind.value)
    for digest in Digest:
        for hmac_digest in Digest:
            keys = Keys(Secret(chance.choice(KEYS)), Secret(chance.choice(HMAC_KEYS)), hmac_digest)
            clock = chance.choice(list(CLOCKS))
            # For NAT the client takes one port only.
            wanted = chance.choice(PORTS[:2] if kind.has_nat else PORTS)
            ports = [] if kind is MessageType.COMMAND else ["-A", wanted]
            words = [*chance.choice(ADDRESSES), *ports, *OPTIONS[kind], *clock.split()]
            words += ["-U", chance.choice(USERS), "-m", digest.value, *key_options(keys)]
            heard = client.send(*words)
            answer = judged(keys, heard)
            check_fields(answer, heard)
            if kind is MessageType.COMMAND:
                assert isinstance(answer, Refusal) and answer.reason is Reason.COMMAND
            else:
                check_grant(answer, heard)
            if abs(offset := CLOCKS[clock]) > 120:
                late = judged(keys, heard, offset)
                assert isinstance(late, Refusal) and late.reason is Reason.CLOCK
                assert late.seconds_off == offset


PLAIN = Keys(Secret(KEYS[2]), Secret(HMAC_KEYS[1]))


@pytest.mark.parametrize("mode", ["cfb", "ofb", "ctr", "ecb"])
def test_a_mode_that_is_not_supported_is_malformed(client: Client, mode: str) -> None:
    heard = client.send("-s", "-A", "tcp/22", "-M", mode, *key_options(PLAIN))
    answer = judged(PLAIN, heard)
    assert isinstance(answer, Refusal) and answer.reason is Reason.MALFORMED


def test_a_packet_without_an_hmac_or_with_another_is_refused(client: Client) -> None:
    key = PLAIN.encryption.octets.decode()
    for words in (
        ["--key-rijndael", key],
        ["--key-rijndael", key, "-M", "legacy"],
        key_options(replace(PLAIN, hmac_digest=Digest.SHA1)),
        key_options(replace(PLAIN, hmac=Secret(b"another"))),
    ):
        answer = judged(PLAIN, client.send("-s", "-A", "tcp/22", *words))
        assert answer == Refusal(Reason.HMAC)


def test_a_packet_with_a_header_of_its_own_opens_to_the_source_in_it(client: Client) -> None:
    for source in ("127.0.0.9", "127.3.2.1"):
        words = ["-P", "udpraw", "-Q", source, "-s", "-A", "tcp/22", *key_options(PLAIN)]
        heard = client.send(*words)
        answer = judged(PLAIN, heard)
        check_grant(answer, heard)
        assert isinstance(answer, Grant) and answer.address == source


def test_long_lists_and_long_packets_are_read(client: Client) -> None:
    ports = ",".join(f"tcp/{number}" for number in range(1_000, 1_024))
    keys = Keys(Secret(KEYS[4]), Secret(HMAC_KEYS[-1]), Digest.SHA512)
    heard = client.send("-s", "-A", ports, "-m", "sha512", *key_options(keys))
    check_grant(judged(keys, heard), heard)
    command = client.send("-s", "-C", "x" * 240, "-m", "sha512", *key_options(keys))
    answer = judged(keys, command)
    assert isinstance(answer, Refusal) and answer.reason is Reason.COMMAND
    assert len(command.payload) > 500


def test_a_packet_that_comes_again_is_good_once(client: Client, tmp_path: Path) -> None:
    heard = client.send("-s", "-A", "tcp/22", *key_options(PLAIN))
    stamped = int(heard.said["Timestamp"])
    replays = Replays(tmp_path / "used.db", 120)
    replays.open(stamped - 1)
    for expected in (Use.NEW, Use.REPLAYED, Use.REPLAYED):
        answer = judged(PLAIN, heard)
        assert isinstance(answer, Grant)
        assert replays.use(answer.digest, answer.message.stamped, stamped + 1) is expected
