"""Accesses, and the secrets in them."""

from __future__ import annotations

import traceback

import pytest

from pyknockd.model import Protocol
from pyknockd.model.access import Access, Keys, MessageType, Port, Secret


def test_a_secret_is_in_no_text() -> None:
    access = Access("door", Keys(Secret(b"hunter2"), Secret(b"correct horse")))
    for text in (repr(access), str(access), f"{access.keys}", f"{access.keys.hmac!r}"):
        assert "hunter2" not in text and "horse" not in text


@pytest.mark.parametrize(("encryption", "hmac"), [(0, 1), (1, 0), (33, 1), (1, 129)])
def test_keys_without_a_key_or_longer_than_clients_use_are_none(encryption: int, hmac: int) -> None:
    with pytest.raises(ValueError, match="octets") as error:
        Keys(Secret(b"s" * encryption), Secret(b"s" * hmac))
    assert "sss" not in "".join(traceback.format_exception(error.value))
    assert Keys(Secret(b"s" * 32), Secret(b"s" * 128))


def test_a_port_is_written_as_in_a_packet() -> None:
    assert str(Port(Protocol.UDP, 53)) == "udp/53"


def test_the_types_differ_by_nat_and_timeout() -> None:
    nat = [kind.value for kind in MessageType if kind.has_nat]
    local = [kind.value for kind in MessageType if kind.is_local_nat]
    timeout = [kind.value for kind in MessageType if kind.has_timeout]
    assert (nat, local, timeout) == ([2, 4, 5, 6], [5, 6], [3, 4, 6])
