"""The variables of commands."""

from __future__ import annotations

import pytest

from pyknockd.model import Protocol
from pyknockd.model.access import MessageType, Nat, Port
from pyknockd.proof.spa import Grant
from pyknockd.proof.spa_variables import fill, names_port
from tests.support.spa import DNS, ME, NOW, SERVER, SSH, THIRD, access, heard, message, packet

pytest.importorskip("cryptography", reason="needs python3-cryptography")


def grant(text: str = f"{THIRD},tcp/22,udp/53") -> Grant:
    said = message(text, MessageType.NAT_TIMEOUT, nat=Nat("10.0.3.4", 2222), timeout=90)
    found = heard(packet(said), access(may_nat=True))
    assert isinstance(found, Grant)
    return found


def test_the_variables_of_access_conf_are_filled_in() -> None:
    text = "$IP $SRC $PKT_SRC $DST $PORT $PROTO $TIMEOUT $CLIENT_TIMEOUT $OTHER"
    filled = fill(text, grant(), DNS)
    assert filled == f"{THIRD} {THIRD} {ME} {SERVER} 53 17 {NOW + 90} 90 $OTHER"


def test_those_in_percent_signs_are_filled_in() -> None:
    filled = fill("%IP% %PROTO%/%PORT% %NAT_IP%:%NAT_PORT% %X%", grant(), SSH)
    assert filled == f"{THIRD} tcp/22 10.0.3.4:2222 %X%"


def test_what_is_not_there_is_empty() -> None:
    found = heard(packet())
    assert isinstance(found, Grant)
    assert fill("a%NAT_IP%b%NAT_PORT%c", found, Port(Protocol.TCP, 22)) == "abc"


def test_a_command_that_names_the_port_is_told_from_others() -> None:
    assert names_port("open $IP $PORT") and names_port("open %PROTO%")
    assert not names_port("open $IP $PKT_SRC %IP%")
