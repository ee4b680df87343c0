"""Keys that anybody may know, and packets made with them: three by Debian's fwknop-client 2.6.10."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyknockd.model import Protocol
from pyknockd.model.access import Access, Digest, Keys, MessageType, Nat, Port, Secret
from pyknockd.proof.spa import Arrival, Grant, Refusal, Spa
from pyknockd.proof.spa_packet import Message, encode

KEYS = Keys(Secret(b"published in the test suite"), Secret(b"and this one is as well known"))
OTHER_KEYS = Keys(Secret(b"somebody else's passphrase"), Secret(b"somebody else's HMAC key"))
NOW = 1_795_594_847
ME, SERVER, THIRD = "192.0.2.1", "198.51.100.9", "203.0.113.7"
SSH, DNS = Port(Protocol.TCP, 22), Port(Protocol.UDP, 53)
SALT = bytes(range(8))
# fwknop -D 127.0.0.1 -U alice, and then ...
FROM_CLIENT = {
    "-a 203.0.113.7 -A tcp/22": (
        b"8NCyz+mzB1Pd4KN4FTyd/uaIuvlF8lO6kXtq9IGJIfA1Ttl2uiushQ0nm8Kn8tqhVahr8/Ru7qM4BWEO+QnCerreNrov"
        b"CJvwHpf4aJmqTL8ps0ul8UcRrAoDyQLCp2GWSRhP1DBJdyxb0o8tyTVlzPTJIDqnpiiDvLCq2rRZ2F+7gYJB8kmr2njA"
        b"WwpcE6S43aJOfl5ae3h1ot9gAeauHdLrfyLMYg+eQ"
    ),
    "-s -A tcp/22,udp/53 -f 90": (
        b"85q3Of7HIrECTl6gvtIB6wqwZhn5WFN/T0PQWBRROmS3dxzuNtoe2IZf75eI+XkTbwo4xjjwjH89SQw9S6JkKYvazZZs"
        b"J5hQJyo/rHarJq1wJnzIzae0PQlq63W49g8i3zXrZXSY4eorEOwlmUkTM7R7WhNjtHTer3FZ3yrrm07QT74W/IInwLNz"
        b"dHbYTT+nKgvbxoSqsJFA4KIeUk/AGcMreo05vQ92s"
    ),
    "-a 203.0.113.7 -A tcp/22 -N 10.0.3.4:2222 --nat-port 22": (
        b"+NFpICT3xkLS8FvEhAvQ3TobOllF0+n+5JYfmtjU8YvN2QASyOjMY6U6+3/a8zKzNQ5KZls8hIXVvMUviJNgDdoXQ1Ak"
        b"0kQRyEshGi2MXRsL43D8je7IGdr9WWdUyMwVoDCL+SvuIBwL2JmRvi/iy5Q+F4YmWZ2N/vI8QAZqVDLrkLn3/RkA5iSm"
        b"XSyzSsuKRdBIUSGWpSDQJzuX90q7UnuEo3YIKxbPIRDdLdBy6Vpc0y8H5/Bjx28"
    ),
}
ARRIVAL = Arrival(ME, SERVER, NOW)


def access(**changes: object) -> Access:
    """May ask for ssh and DNS."""
    given: dict[str, object] = {"name": "door", "keys": KEYS, "open_ports": (SSH, DNS), **changes}
    return Access(**given)  # type: ignore[arg-type]


def message(
    text: str = "0.0.0.0,tcp/22",
    kind: MessageType = MessageType.ACCESS,
    *,
    stamped: int = NOW,
    nat: Nat | None = None,
    timeout: int = 0,
) -> Message:
    """What a client says."""
    return Message("0123456789012345", "alice", stamped, kind, text, nat, timeout)


def packet(said: Message | None = None, keys: Keys = KEYS, salt: bytes = SALT) -> bytes:
    """The packet that says it."""
    return encode(said or message(), keys, salt)


def heard(payload: bytes, *accesses: Access, arrival: Arrival = ARRIVAL) -> Grant | Refusal:
    """What comes of a packet."""
    return Spa(accesses or (access(),)).hear(payload, arrival)


def mutants(count: int) -> int:
    """How many mutations to try: so many, or as PYKNOCKD_MUTANTS says."""
    return int(os.environ.get("PYKNOCKD_MUTANTS", count))


@dataclass(frozen=True)
class Vector:
    """A packet of a real client's, and what is in it; ``keys`` is None where it has no HMAC."""

    name: str
    payload: bytes
    keys: Keys | None
    expected: dict[str, object]


@dataclass(frozen=True)
class Vectors:
    good: list[Vector]
    refused: list[Vector]


def vectors() -> Vectors:
    """Those of the file that PYKNOCKD_SPA_VECTORS names; skips where it names none."""
    path = os.environ.get("PYKNOCKD_SPA_VECTORS")
    if not path or not Path(path).is_file():
        pytest.skip("PYKNOCKD_SPA_VECTORS names no file of packets")
    content = json.loads(Path(path).read_text())
    by_name = {one["name"]: one for one in content["packets"]}
    good = [
        Vector(name, one["packet"].encode(), _keys(one["access_conf"]), one["expected"])
        for name, one in by_name.items()
    ]
    refused = [
        Vector(one["why"], one["packet"].encode(), _keys(by_name[one["from"]]["access_conf"]), {})
        for one in content["refused"]
    ]
    return Vectors(good, refused)


def _keys(words: dict[str, str]) -> Keys | None:
    if "HMAC_KEY" not in words and "HMAC_KEY_BASE64" not in words:
        return None
    digest = Digest(words.get("HMAC_DIGEST_TYPE", "sha256").lower())
    return Keys(_secret(words, "KEY"), _secret(words, "HMAC_KEY"), digest)


def _secret(words: dict[str, str], name: str) -> Secret:
    if name in words:
        return Secret(words[name].encode())
    return Secret(base64.b64decode(words[f"{name}_BASE64"]))
