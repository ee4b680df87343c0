"""What comes near a sequence."""

from __future__ import annotations

import pytest

from pyknockd.model import Door, Flags, Knock, Protocol, Step
from pyknockd.model.events import NotHeardCause
from pyknockd.proof.nearby import NEAR_PORTS, Nearby

TCP, UDP = Protocol.TCP, Protocol.UDP
HERE, ELSEWHERE = "192.0.2.1", "192.0.2.200"
DOOR = Door("ssh", (Step(7000, TCP), Step(8000, UDP)))


def knock(port: int, protocol: Protocol = TCP, flags: int = Flags.SYN, to: str = HERE) -> Knock:
    flags = flags if protocol is TCP else 0
    return Knock("198.51.100.1", to, to == HERE, protocol, port, 40_000, flags, interface="eth1")


@pytest.mark.parametrize(
    ("one", "cause", "step"),
    [
        (knock(7000, UDP), NotHeardCause.WRONG_PROTOCOL, Step(7000, TCP)),
        (knock(8000, TCP), NotHeardCause.WRONG_PROTOCOL, Step(8000, UDP)),
        (knock(7001), NotHeardCause.NEAR_PORT, Step(7000, TCP)),
        (knock(7000 - NEAR_PORTS), NotHeardCause.NEAR_PORT, Step(7000, TCP)),
        (knock(8002, UDP), NotHeardCause.NEAR_PORT, Step(8000, UDP)),
    ],
)
def test_what_is_near_is_told_with_its_step(one: Knock, cause: NotHeardCause, step: Step) -> None:
    (event,) = Nearby([DOOR]).near(one)
    assert (event.cause, event.step, event.door, event.knock) == (cause, step, DOOR, one)


@pytest.mark.parametrize(
    "one",
    [
        knock(7001 + NEAR_PORTS),
        knock(7001, UDP),  # neither the port nor the protocol
        knock(7001, flags=Flags.SYN | Flags.ACK),  # an answer, to whatever port its client has
        knock(7001, flags=Flags.ACK),
        knock(7001, to=ELSEWHERE),
        knock(0),
        knock(65_535),
    ],
)
def test_what_is_not_near_is_not_told(one: Knock) -> None:
    assert Nearby([DOOR]).near(one) == []


def test_the_nearest_step_is_told() -> None:
    doors = [Door("far", (Step(7003, TCP),)), Door("near", (Step(7000, TCP),))]
    (event,) = Nearby(doors).near(knock(7001))
    assert event.door.name == "near"


def test_a_door_with_a_target_is_near_to_what_goes_there() -> None:
    door = Door("ssh", (Step(7000, TCP),), target=ELSEWHERE)
    assert Nearby([door]).near(knock(7001)) == []
    assert len(Nearby([door]).near(knock(7001, to=ELSEWHERE))) == 1


def test_a_step_on_an_interface_that_is_not_listened_on_is_told() -> None:
    (event,) = Nearby([DOOR]).elsewhere(knock(7000, to=ELSEWHERE))
    assert event.cause is NotHeardCause.NOT_LISTENED_ON
    assert Nearby([DOOR]).elsewhere(knock(7001)) == []
    assert Nearby([DOOR]).elsewhere(knock(7000, flags=Flags.ACK)) == []


def test_without_doors_nothing_is_near() -> None:
    assert Nearby([]).near(knock(7000)) == []
