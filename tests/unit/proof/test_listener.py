"""What a door listens to."""

from __future__ import annotations

from pyknockd.model import Door, Flags, Knock, Policy, Protocol, Step
from pyknockd.proof.listener import heard_by, is_step, listener_of, listens_of

TCP, UDP = Protocol.TCP, Protocol.UDP
STEPS = (Step(7000, TCP), Step(8000, UDP), Step(7000, TCP))
SSH = Door("ssh", STEPS, required=Flags.SYN, forbidden=Flags.ACK)


def test_a_door_listens_to_each_of_its_ports_once() -> None:
    listens = listens_of(listener_of(SSH))
    assert [(one.protocol, one.low, one.high) for one in listens] == [
        (TCP, 7000, 7000),
        (UDP, 8000, 8000),
    ]
    assert all(one.can_wait and one.required == Flags.SYN for one in listens)


def test_a_strict_door_hears_every_connection_begin() -> None:
    strict = Door("ssh", STEPS, policy=Policy(strict=True), target="192.0.2.9")
    every = listens_of(listener_of(strict))[-1]
    assert (every.low, every.high, every.target) == (1, 65_535, "192.0.2.9")
    assert every.required == Flags.SYN
    assert every.forbidden == Flags.ACK | Flags.RST | Flags.FIN
    assert listens_of(listener_of(Door("ssh", policy=Policy(strict=True)))) == ()


def test_who_may_hear_a_port_is_found_by_port_and_protocol() -> None:
    ssh, web = listener_of(SSH), listener_of(Door("web", (Step(8000, TCP),)))
    found = heard_by((ssh, web))
    assert found == {(7000, False): [ssh], (8000, True): [ssh], (8000, False): [web]}


def test_flags_are_looked_at_of_tcp_only() -> None:
    listener = listener_of(SSH)
    knock = Knock("192.0.2.1", "192.0.2.9", True, TCP, 7000, flags=int(Flags.SYN))
    assert listener.fits_flags(knock)
    assert listener.begins_with(knock)
    assert listener.fits_destination(knock)
    answer = Knock("192.0.2.1", "192.0.2.9", False, TCP, 7000, flags=int(Flags.SYN | Flags.ACK))
    assert not listener.fits_flags(answer)
    assert not listener.fits_destination(answer)
    assert listener.fits_flags(Knock("192.0.2.1", "192.0.2.9", True, UDP, 8000))


def test_a_knock_goes_where_a_step_does_if_port_and_protocol_are_the_same() -> None:
    one = Knock("198.51.100.1", "192.0.2.1", True, Protocol.TCP, 7000)
    assert is_step(Step(7000, Protocol.TCP), one)
    assert not is_step(Step(7000, Protocol.UDP), one)
    assert not is_step(Step(7001, Protocol.TCP), one)
