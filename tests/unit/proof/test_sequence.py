"""The rules of a knock, on the pure sequences: time is an argument, no packet is sent."""

from __future__ import annotations

import os
import random
import resource
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from itertools import count
from random import Random

import pytest

from pyknockd.capture.decode import Frame, knock_of
from pyknockd.config.knockd_conf import parse
from pyknockd.model import Door, Flags, Knock, Link, Policy, Protocol, Step
from pyknockd.model.events import (
    AttemptEnded,
    AttemptEvent,
    EndCause,
    NotHeard,
    NotHeardCause,
    Opened,
    StageReached,
)
from pyknockd.proof.repeats import RETRANSMISSION_SECONDS
from pyknockd.proof.sequence import LATE_SECONDS, MOST_RECENT, Sequences
from tests.support.frames import INGRESS
from tests.support.packets import GOOD

TCP, UDP = Protocol.TCP, Protocol.UDP
HERE, ELSEWHERE = "192.0.2.1", "192.0.2.200"
_sequence_numbers: Iterator[int] = count(1)


def door(
    *ports: int | Step,
    name: str = "ssh",
    timeout: float = 5,
    flags: tuple[Flags, Flags] = (Flags(0), Flags(0)),
    target: str | None = None,
) -> Door:
    steps = tuple(port if isinstance(port, Step) else Step(port, TCP) for port in ports)
    required, forbidden = flags
    return Door(name, steps, timeout=timeout, required=required, forbidden=forbidden, target=target)


def knock(
    port: int,
    source: str = "198.51.100.1",
    *,
    protocol: Protocol = TCP,
    flags: Flags = Flags.SYN,
    to: str = HERE,
    sequence_number: int | None = None,
) -> Knock:
    number = next(_sequence_numbers) if sequence_number is None else sequence_number
    flags_heard = int(flags) if protocol is TCP else 0
    return Knock(source, to, to == HERE, protocol, port, 40_000, flags_heard, number)


def feed(sequences: Sequences, one: Knock, now: float) -> list[AttemptEvent]:
    return sequences.feed(replace(one, time=now))


def story(events: list[AttemptEvent]) -> list[str]:
    """What the log says of the events."""
    told = []
    for event in events:
        if isinstance(event, (StageReached, AttemptEnded)) and event.quiet:
            continue
        if isinstance(event, StageReached):
            told.append(f"{event.door.name} stage {event.stage}")
        elif isinstance(event, Opened):
            told.append(f"{event.door.name} opened {len(event.door.steps)}")
        elif isinstance(event, AttemptEnded) and event.cause is EndCause.TOO_LATE:
            told.append(f"{event.door.name} timed out {event.stage}")
    return told


def ends(events: list[AttemptEvent]) -> list[EndCause]:
    return [event.cause for event in events if isinstance(event, AttemptEnded)]


def play(sequences: Sequences, *knocks: Knock, now: float = 0.0) -> list[str]:
    return story([event for one in knocks for event in feed(sequences, one, now)])


OPENED = ["ssh stage 1", "ssh stage 2", "ssh stage 3", "ssh opened 3"]


def test_the_right_knocks_open_the_door() -> None:
    sequences = Sequences([door(7000, 8000, 9000)])
    assert play(sequences, knock(7000), knock(8000), knock(9000)) == OPENED
    assert len(sequences) == 0


def test_a_door_with_one_step_opens_at_once() -> None:
    sequences = Sequences([door(7000)])
    assert play(sequences, knock(7000), knock(7000)) == ["ssh stage 1", "ssh opened 1"] * 2


def test_a_wrong_port_ends_the_attempt_silently() -> None:
    sequences = Sequences([door(7000, 8000, 9000)])
    assert play(sequences, knock(7000), knock(9000)) == ["ssh stage 1"]
    assert len(sequences) == 0


def test_a_first_step_begins_an_attempt_also_where_it_ends_one() -> None:
    sequences = Sequences([door(7000, 8000, 9000)])
    events = play(sequences, *map(knock, (7000, 7000, 8000, 9000)))
    assert events == ["ssh stage 1", *OPENED]


def test_whoever_lost_a_packet_and_tries_again_gets_in_at_the_shipped_pair_of_doors() -> None:
    sequences = Sequences([door(7000, 8000, 9000), door(9000, 8000, 7000, name="close")])
    again = (7000, 8000, 9000)
    assert "ssh opened 3" in play(sequences, *map(knock, (8000, 9000, *again)))


def test_a_quiet_attempt_is_told_of_once_it_is_the_furthest() -> None:
    sequences = Sequences([door(7000, 8000, 9000), door(8000, 7000, 5000, name="other")])
    # knockd has no attempt at "other" while it has one at "ssh"; 7000 then ends that one.
    assert play(sequences, *map(knock, (7000, 8000, 7000))) == [
        *("ssh stage 1", "ssh stage 2", "other stage 2"),
    ]


def test_an_opening_ends_all_attempts_of_its_source_at_its_door() -> None:
    sequences = Sequences([door(7000, 7000, 7000)])
    events = [event for _ in range(3) for event in feed(sequences, knock(7000), 0)]
    assert ends(events) == [EndCause.OPENED]
    assert len(sequences) == 0


def hand_made(port: int) -> Knock:
    """As scapy makes SYNs by default: ports and numbers are always the same, and no options."""
    return replace(knock(port, sequence_number=0), source_port=20, bare=True)


def test_a_client_whose_syns_are_all_alike_opens_and_closes_and_opens_again() -> None:
    sequences = Sequences([door(7000, 8000, 9000), door(9000, 8000, 7000, name="close")])
    for ports, opened in (
        ((7000, 8000, 9000), "ssh opened 3"),
        ((9000, 8000, 7000), "close opened 3"),
        ((7000, 8000, 9000), "ssh opened 3"),
    ):
        assert play(sequences, *map(hand_made, ports))[-1] == opened


def test_a_sequence_with_a_port_twice_opens_to_syns_that_are_all_alike() -> None:
    sequences = Sequences([door(7100, 7200, 7100)])
    assert play(sequences, *map(hand_made, (7100, 7200, 7100)))[-1] == "ssh opened 3"


def test_after_a_mistake_a_client_whose_syns_are_all_alike_gets_in() -> None:
    sequences = Sequences([door(7000, 8000, 9000)])
    play(sequences, *map(hand_made, (7000, 9000)))
    assert play(sequences, *map(hand_made, (7000, 8000, 9000)))[-1] == "ssh opened 3"


def test_what_a_kernel_sends_again_of_the_knocks_that_opened_never_closes() -> None:
    sequences = Sequences([door(7000, 8000, 9000), door(9000, 8000, 7000, name="close")])
    sent = [knock(port) for port in (7000, 8000, 9000)]
    play(sequences, *sent)
    assert play(sequences, *reversed(sent)) == []


def test_what_no_door_hears_does_not_exist() -> None:
    sequences = Sequences([door(7000, 8000, flags=(Flags.SYN, Flags.ACK))])
    events = play(
        sequences,
        knock(7000),
        knock(1234),
        knock(8000, protocol=UDP),
        knock(7000, flags=Flags.ACK),
        knock(7000, to=ELSEWHERE),
        knock(8000),
    )
    assert events == ["ssh stage 1", "ssh stage 2", "ssh opened 2"]


def test_a_port_of_another_door_spoils_the_attempt() -> None:
    sequences = Sequences([door(7000, 8000), door(5000, 6000, name="other")])
    assert play(sequences, knock(7000), knock(6000), knock(8000)) == ["ssh stage 1"]


def test_sources_never_affect_each_other() -> None:
    sequences = Sequences([door(7000, 8000, 9000)])
    sources = [f"198.51.100.{n}" for n in range(200)]
    events = play(sequences, *(knock(port, s) for port in (7000, 8000, 9000) for s in sources))
    assert events.count("ssh opened 3") == 200


def test_an_end_of_one_attempt_leaves_all_others() -> None:
    sequences = Sequences([door(7000, 8000, 9000)])
    play(sequences, knock(7000, "198.51.100.1"), knock(7000, "198.51.100.2"))
    play(sequences, knock(9000, "198.51.100.1"))
    events = play(sequences, knock(8000, "198.51.100.2"), knock(9000, "198.51.100.2"))
    assert events == OPENED[1:]


def test_doors_that_share_a_beginning_advance_together() -> None:
    sequences = Sequences([door(7000, 8000, name="a"), door(7000, 8000, 9000, name="b")])
    events = play(sequences, knock(7000), knock(8000), knock(9000))
    assert events == [
        *("a stage 1", "b stage 1", "a stage 2", "a opened 2", "b stage 2"),
        *("b stage 3", "b opened 3"),
    ]


def test_a_sequence_may_name_a_port_twice() -> None:
    sequences = Sequences([door(7000, 7000, 8000)])
    assert play(sequences, knock(7000), knock(7000), knock(8000)) == OPENED


def test_tcp_and_udp_are_different_steps() -> None:
    sequences = Sequences([door(7000, Step(8000, UDP), 9000)])
    wrong = play(sequences, knock(7000), knock(8000))
    right = play(sequences, knock(8000, protocol=UDP), knock(9000))
    assert wrong + right == OPENED


def test_flags_of_another_kind_do_not_touch_an_attempt() -> None:
    syn, fin = (Flags.SYN, Flags(0)), (Flags.FIN, Flags(0))
    sequences = Sequences([door(7000, 8000, flags=syn), door(8000, 9000, name="fin", flags=fin)])
    events = play(sequences, knock(7000), knock(8000, flags=Flags.FIN), knock(8000))
    assert events == ["ssh stage 1", "ssh stage 2", "ssh opened 2"]


def test_forbidden_flags_keep_a_packet_out() -> None:
    sequences = Sequences([door(7000, flags=(Flags.SYN, Flags.ACK))])
    assert play(sequences, knock(7000, flags=Flags.SYN | Flags.ACK)) == []
    assert play(sequences, knock(7000, flags=Flags.SYN | Flags.URG)) != []


def test_udp_steps_ignore_flags() -> None:
    sequences = Sequences([door(Step(7000, UDP), 8000, flags=(Flags.SYN, Flags.ACK))])
    assert play(sequences, knock(7000, protocol=UDP), knock(8000))[-1] == "ssh opened 2"


def test_a_target_hears_its_own_address_and_no_other() -> None:
    sequences = Sequences([door(7000, target=ELSEWHERE), door(7000, name="here")])
    assert play(sequences, knock(7000, to=ELSEWHERE)) == ["ssh stage 1", "ssh opened 1"]
    assert play(sequences, knock(7000)) == ["here stage 1", "here opened 1"]


def test_a_knock_elsewhere_leaves_attempts_at_other_targets_alone() -> None:
    sequences = Sequences([door(7000, 8000), door(7000, 9000, name="there", target=ELSEWHERE)])
    events = play(sequences, knock(7000), knock(7000, to=ELSEWHERE), knock(8000))
    assert events == ["ssh stage 1", "there stage 1", "ssh stage 2", "ssh opened 2"]


@pytest.mark.parametrize(("age", "opens"), [(4.999, True), (5.0, False), (5.5, False)])
def test_the_timeout_runs_exactly_from_the_first_knock(age: float, opens: bool) -> None:
    sequences = Sequences([door(7000, 8000)])
    feed(sequences, knock(7000), 100.0)
    assert ("ssh opened 2" in story(feed(sequences, knock(8000), 100.0 + age))) is opens


def test_a_knock_after_the_timeout_is_looked_at_afresh() -> None:
    sequences = Sequences([door(7000, 8000)])
    feed(sequences, knock(7000), 0)
    assert story(feed(sequences, knock(7000), 6)) == ["ssh timed out 1", "ssh stage 1"]


def test_a_timeout_needs_no_packet_to_be_told() -> None:
    sequences = Sequences([door(7000, 8000, timeout=5), door(7001, 8001, name="slow", timeout=9)])
    feed(sequences, knock(7001), 0)
    feed(sequences, knock(7000, "198.51.100.7"), 1)
    assert sequences.next_deadline() == 6
    assert sequences.expire(5.9) == []
    assert story(sequences.expire(6)) == ["ssh timed out 1"]
    assert sequences.next_deadline() == 9
    assert story(sequences.expire(100)) == ["slow timed out 1"]
    assert sequences.next_deadline() is None


def test_timeouts_are_told_in_the_order_of_their_deadlines() -> None:
    sequences = Sequences([door(7000, 8000, timeout=9), door(7001, 8001, name="quick", timeout=2)])
    feed(sequences, knock(7000), 0)
    feed(sequences, knock(7001, "198.51.100.7"), 1)
    assert story(sequences.expire(50)) == ["quick timed out 1", "ssh timed out 1"]


def test_a_retransmission_passes_without_effect() -> None:
    sequences = Sequences([door(7000, 8000, 9000)])
    first, second = knock(7000), knock(8000)
    events = play(sequences, first, first, second, first, second, knock(9000))
    assert events == OPENED


def test_a_retransmission_after_the_end_begins_nothing() -> None:
    sequences = Sequences([door(7000, 8000), door(8000, 7000, name="close")])
    last = knock(8000)
    play(sequences, knock(7000), last)
    assert story(feed(sequences, last, 1.0)) == []
    assert story(feed(sequences, last, 3.0)) == []


def test_a_new_connection_to_the_same_port_is_a_knock() -> None:
    sequences = Sequences([door(7000, 8000)])
    events = [event for _ in range(2) for event in feed(sequences, knock(7000), 0)]
    assert ends(events) == [EndCause.WRONG_PORT]


def test_a_retransmission_is_not_remembered_for_ever() -> None:
    sequences = Sequences([door(7000, timeout=1)])
    one = knock(7000)
    assert story(feed(sequences, one, 0))
    assert not story(feed(sequences, one, RETRANSMISSION_SECONDS - 1))
    assert story(feed(sequences, one, RETRANSMISSION_SECONDS))


def test_two_datagrams_are_two_knocks() -> None:
    sequences = Sequences([door(Step(7000, UDP), Step(7000, UDP))])
    one = knock(7000, protocol=UDP, sequence_number=0)
    assert play(sequences, one, one)[-1] == "ssh opened 2"


def address(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def test_the_oldest_attempt_at_stage_one_makes_room() -> None:
    sequences = Sequences([door(7000, 8000, 9000)], limit=100)
    far = address(1)
    play(sequences, knock(7000, far), knock(8000, far))
    for number in range(2, 1000):
        feed(sequences, knock(7000, address(number)), 0)
    assert len(sequences) == 100
    assert play(sequences, knock(8000, address(999))) == ["ssh stage 2"]
    assert play(sequences, knock(8000, address(900))) == []
    assert play(sequences, knock(9000, far)) == ["ssh stage 3", "ssh opened 3"]


def test_a_newcomer_is_turned_away_rather_than_one_who_is_further_on() -> None:
    sequences = Sequences([door(7000, 8000, 9000)], limit=3)
    for number in range(3):
        play(sequences, knock(7000, address(number)), knock(8000, address(number)))
    assert play(sequences, knock(7000, address(9))) == []
    assert play(sequences, knock(9000, address(0)))[-1] == "ssh opened 3"
    assert play(sequences, knock(7000, address(9))) == ["ssh stage 1"]


def test_memory_is_bounded_whatever_comes() -> None:
    sequences = Sequences([door(7000, 8000), door(9000, name="single")], limit=50)
    for number in range(10_000):
        feed(sequences, knock(9000, address(number)), number / 1000)
        feed(sequences, knock(7000, address(number)), number / 1000)
    assert len(sequences) <= 50
    assert len(sequences._sources) <= 50


def test_whoever_had_an_attempt_lately_is_known_within_bounds() -> None:
    sequences = Sequences([door(7000, 8000)])
    for number in range(MOST_RECENT + 10):
        play(sequences, knock(7000, address(number)), knock(8000, address(number)))
    assert not sequences.knows(address(0))
    assert sequences.knows(address(MOST_RECENT))
    assert len(sequences._recent) == MOST_RECENT


def test_one_source_is_remembered_within_bounds() -> None:
    sequences = Sequences([door(7000, 8000)])
    for _ in range(10_000):
        feed(sequences, knock(7000), 0)
    (source,) = sequences._sources.values()
    assert len(source.attempts) <= 1


def test_a_replaced_door_forgets_attempts_and_hears_its_new_steps() -> None:
    old, new = door(1, 2, name="d"), door(3, 4, name="d")
    sequences = Sequences([old, door(1, 5, name="e")])
    play(sequences, knock(1))
    sequences.replace(old, new, 1.0)
    assert play(sequences, knock(2)) == []
    assert play(sequences, knock(5)) == ["e stage 2", "e opened 2"]
    assert play(sequences, knock(3), knock(4))[-1] == "d opened 2"


def test_a_replaced_door_leaves_no_source_behind() -> None:
    old, other = door(7000, 8000), door(7001, 8001, name="other")
    sequences = Sequences([old, other])
    play(sequences, knock(7000, address(1)), knock(7001, address(2)))
    sequences.replace(old, door(9000, 8000), 1.0)
    assert list(sequences._sources) == [address(2)]
    assert play(sequences, knock(8000, address(1)), knock(8001, address(2)))[-1] == "other opened 2"


def test_a_knock_that_begins_at_two_doors_needs_room_for_two() -> None:
    sequences = Sequences([door(7000, 8000), door(7000, 9000, name="other")], limit=1)
    assert play(sequences, knock(7000)) == ["other stage 1"]
    assert play(sequences, knock(9000)) == ["other stage 2", "other opened 2"]
    assert len(sequences) == 0


@pytest.mark.parametrize("seed", range(10))
def test_every_source_is_remembered_for_a_reason_whatever_comes(seed: int) -> None:
    random = Random(seed)
    doors = [door(7000, 8000, 9000), door(7000, 9000, name="b", timeout=2), door(9000, name="c")]
    doors.append(door(8000, 7000, name="there", timeout=9, target=ELSEWHERE))
    sequences = Sequences(doors, limit=4)
    now = 0.0
    for turn in range(500):
        now += random.random()
        port, to = random.choice((7000, 8000, 9000)), random.choice((HERE, ELSEWHERE))
        feed(sequences, knock(port, address(random.randrange(9)), to=to), now)
        if random.random() < 0.05:
            changed = replace(doors[0], name=f"turn {turn}")
            sequences.replace(doors[0], changed, now)
            doors[0] = changed
        under_way = [a for queue in sequences._by_timeout.values() for a in queue]
        busy = {attempt.source.address for attempt in under_way}
        assert len(sequences) == len(under_way) <= 4
        assert busy == set(sequences._sources)


def causes(*knocks: Knock, limit: int = 100) -> list[EndCause]:
    sequences = Sequences([door(7000, 8000, Step(9000, UDP)), door(5000, 6000)], limit)
    return ends([event for one in knocks for event in feed(sequences, one, 0.0)])


def test_an_attempt_that_ends_tells_its_cause() -> None:
    assert causes(knock(7000), knock(6000)) == [EndCause.WRONG_PORT]
    wrong = [knock(7000), knock(8000), knock(9000, protocol=UDP)]
    assert causes(*wrong) == []
    assert causes(knock(7000), knock(7000, address(2)), limit=1) == [EndCause.EVICTED]


def test_the_right_port_over_the_wrong_protocol_is_told_as_such() -> None:
    sequences = Sequences([door(7000, 8000), door(Step(8000, UDP), 1, name="other")])
    feed(sequences, knock(7000), 0)
    events = feed(sequences, knock(8000, protocol=UDP), 1)
    assert ends(events) == [EndCause.WRONG_PROTOCOL]


def test_the_knock_that_ended_an_attempt_is_told() -> None:
    sequences = Sequences([door(7000, 8000), door(5000, name="other")])
    feed(sequences, knock(7000), 0)
    wrong = replace(knock(5000), time=2.0)
    (ended,) = (event for event in sequences.feed(wrong) if isinstance(event, AttemptEnded))
    assert (ended.time, ended.knock, ended.stage) == (2.0, wrong, 1)


def test_a_changed_door_and_other_doors_end_attempts_with_their_causes() -> None:
    old, other = door(7000, 8000), door(7001, 8001, name="other")
    sequences = Sequences([old, other])
    feed(sequences, knock(7000, address(1)), 0)
    feed(sequences, knock(7001, address(2)), 0)
    assert ends(sequences.replace(old, door(1, 2), 1.0)) == [EndCause.ONE_TIME_USED]
    assert ends(sequences.end_all(2.0, EndCause.RELOAD)) == [EndCause.RELOAD]
    assert len(sequences) == 0


@pytest.mark.parametrize(
    ("one", "cause"),
    [
        (knock(7000, flags=Flags.ACK), NotHeardCause.FLAGS),
        (knock(7000, to=ELSEWHERE), NotHeardCause.NOT_ADDRESSED_HERE),
    ],
)
def test_a_packet_that_is_no_knock_tells_why(one: Knock, cause: NotHeardCause) -> None:
    sequences = Sequences([door(7000, 8000, flags=(Flags.SYN, Flags(0)))])
    (event,) = feed(sequences, one, 0)
    assert isinstance(event, NotHeard)
    assert event.cause is cause


def test_a_retransmission_is_told_as_repeated() -> None:
    sequences, one = Sequences([door(7000, 8000)]), knock(7000)
    feed(sequences, one, 0)
    (event,) = feed(sequences, one, 1)
    assert isinstance(event, NotHeard)
    assert event.cause is NotHeardCause.REPEATED


def test_a_knock_that_no_attempt_waits_for_is_told() -> None:
    sequences = Sequences([door(7000, 8000, 9000)])
    (event,) = feed(sequences, knock(8000), 0)
    assert isinstance(event, NotHeard)
    assert event.cause is NotHeardCause.NO_ATTEMPT


def missed(events: list[AttemptEvent]) -> list[tuple[str, float]]:
    """Which doors a knock was too late for, and when their attempts had begun."""
    late = [event for event in events if isinstance(event, NotHeard)]
    assert {event.cause for event in late} <= {NotHeardCause.TOO_LATE}
    return [(event.door.name, event.began) for event in late]


def test_the_next_step_of_an_attempt_that_is_over_is_too_late() -> None:
    sequences = Sequences([door(7000, 8000, 9000)])
    feed(sequences, knock(7000), 1)
    feed(sequences, knock(8000), 3)
    assert ends(feed(sequences, knock(1234), 6)) == [EndCause.TOO_LATE]
    assert missed(feed(sequences, knock(9000), 6.2)) == [("ssh", 1.0)]


def test_that_is_told_where_the_knock_begins_an_attempt_at_another_door_too() -> None:
    sequences = Sequences([door(7000, 8000), door(8000, 7000, name="close")])
    feed(sequences, knock(7000), 0)
    sequences.expire(5)
    events = feed(sequences, knock(8000), 5.2)
    assert story(events) == ["close stage 1"]
    assert missed([event for event in events if isinstance(event, NotHeard)]) == [("ssh", 0.0)]


def test_it_is_not_too_late_for_an_attempt_that_has_been_begun_anew() -> None:
    sequences = Sequences([door(7000, 8000)])
    feed(sequences, knock(7000), 0)
    sequences.expire(5)
    feed(sequences, knock(7000), 6)
    assert missed(feed(sequences, knock(8000), 7)) == []


@pytest.mark.parametrize(
    ("last", "now"), [(knock(9000), 6), (knock(8000), 5 + LATE_SECONDS + 1)], ids=["other", "long"]
)
def test_another_knock_or_one_long_after_is_not_too_late(last: Knock, now: float) -> None:
    sequences = Sequences([door(7000, 8000, 9000)])
    feed(sequences, knock(7000), 0)
    sequences.expire(5)
    (event,) = feed(sequences, last, now)
    assert isinstance(event, NotHeard)
    assert event.cause is NotHeardCause.NO_ATTEMPT


def test_nothing_comes_too_late_for_an_attempt_that_a_wrong_knock_has_ended() -> None:
    sequences = Sequences([door(7000, 8000, 9000)])
    feed(sequences, knock(7000), 0)
    feed(sequences, knock(9000), 1)
    (event,) = feed(sequences, knock(8000), 6)
    assert isinstance(event, NotHeard)
    assert event.cause is NotHeardCause.NO_ATTEMPT


@pytest.mark.parametrize(("again", "earlier"), [(7000, 41_001), (8000, 41_002), (9000, 41_003)])
def test_a_step_that_comes_again_is_told_with_the_port_that_it_came_from_before(
    again: int, earlier: int
) -> None:
    sequences = Sequences([door(7000, 8000, 9000, 1000)])
    for port, source_port in ((7000, 41_001), (8000, 41_002), (9000, 41_003), (again, 41_004)):
        events = feed(sequences, replace(knock(port), source_port=source_port), 0)
    (ended,) = (event for event in events if isinstance(event, AttemptEnded))
    # Of those between the first and the last nothing is kept.
    assert ended.earlier_port == (0 if again == 8000 else earlier)


def test_a_packet_to_a_port_of_nobody_tells_nothing() -> None:
    assert feed(Sequences([door(7000, 8000)]), knock(1234), 0) == []


def test_what_is_listened_for_is_each_step_once() -> None:
    one = door(7000, 7000, Step(8000, UDP), flags=(Flags.SYN, Flags.ACK), target=ELSEWHERE)
    heard = Sequences([one, door(9000, name="at once")]).listens()
    assert [(x.low, x.high, x.protocol, x.can_wait) for x in heard] == [
        (7000, 7000, TCP, True),
        (8000, 8000, UDP, True),
        (9000, 9000, TCP, False),
    ]
    assert (heard[0].required, heard[0].forbidden, heard[0].target) == (
        *(Flags.SYN, Flags.ACK, ELSEWHERE),
    )


FRAMES = int(os.environ.get("PYKNOCKD_FRAMES", "30000"))


def test_hostile_frames_leave_no_trace() -> None:
    """Mutated, cut and random frames on every kind of link, through the decoder and the sequences."""
    reading = parse(
        "[d]\nsequence = 7000,7000,7001:udp\n[e]\nsequence = 7001:udp,9\ntarget = 192.0.2.9\n"
    )
    sequences = Sequences(reading.config.doors, limit=500)
    rng = random.Random(3)
    links = list(Link)
    peak = 0
    for number in range(FRAMES):
        frame = (
            bytearray(rng.choice(GOOD))
            if number % 8
            else bytearray(rng.randbytes(rng.randrange(90)))
        )
        for _ in range(rng.randrange(6)):
            if frame:
                frame[rng.randrange(len(frame))] = rng.randrange(256)
        frame = frame[: rng.randrange(len(frame) + 1)] if number % 3 == 0 else frame
        link = links[number % len(links)]
        knock = knock_of(Frame(bytes(frame), INGRESS[link], number / 1000))
        if knock is not None:
            sequences.feed(knock)
        if number == FRAMES // 2:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(sequences) <= 500
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 10 * 1024


def guarded(policy: Policy, *ports: int) -> Sequences:
    flags = (Flags.SYN, Flags.ACK)
    return Sequences([replace(door(*ports, flags=flags), policy=policy)])


def why(events: list[AttemptEvent]) -> list[EndCause | NotHeardCause]:
    return [event.cause for event in events if isinstance(event, (AttemptEnded, NotHeard))]


def test_a_scan_cannot_walk_into_a_strict_door() -> None:
    sequences = guarded(Policy(strict=True), 3, 5, 7)
    for port in range(1, 10):
        events = feed(sequences, knock(port), port / 10)
        assert not any(isinstance(event, Opened) for event in events)
    assert why(feed(sequences, knock(3), 2.0)) == []
    assert why(feed(sequences, knock(99), 2.1)) == [EndCause.STRICT]
    # And whoever knocks at nothing else gets in.
    for port in (3, 5, 7):
        events = feed(sequences, knock(port), 3.0)
    assert any(isinstance(event, Opened) for event in events)


@pytest.mark.parametrize(
    "other",
    [
        knock(99, flags=Flags.SYN | Flags.ACK),
        knock(99, flags=Flags.ACK),
        knock(99, to=ELSEWHERE),
        knock(99, "198.51.100.9"),
        knock(99, protocol=UDP),
    ],
)
def test_what_is_no_connection_to_here_ends_no_strict_attempt(other: Knock) -> None:
    sequences = guarded(Policy(strict=True), 3, 5)
    feed(sequences, knock(3), 1.0)
    assert why(feed(sequences, other, 1.1)) == []
    assert any(isinstance(event, Opened) for event in feed(sequences, knock(5), 1.2))


def test_so_many_repeats_of_the_step_just_done_are_forgiven() -> None:
    sequences = guarded(Policy(forgive=1), 3, 5, 7)
    feed(sequences, knock(3), 1.0)
    feed(sequences, knock(5), 1.1)
    assert why(feed(sequences, knock(5), 1.2)) == [NotHeardCause.FORGIVEN]
    assert why(feed(sequences, knock(5), 1.3)) == [EndCause.WRONG_PORT]
    for port in (3, 5, 5):
        feed(sequences, knock(port), 2.0)
    assert any(isinstance(event, Opened) for event in feed(sequences, knock(7), 2.1))


def test_a_wrong_step_is_not_forgiven() -> None:
    sequences = guarded(Policy(forgive=5), 3, 5, 7)
    for port in (3, 5):
        feed(sequences, knock(port), 1.0)
    assert why(feed(sequences, knock(3), 1.1)) == [EndCause.WRONG_PORT]


def test_who_is_not_let_in_is_told_why() -> None:
    sequences = guarded(Policy(deny=(ip_network("198.51.100.1"),), cooldown=10.0), 3, 5)
    assert why(feed(sequences, knock(3), 1.0)) == [NotHeardCause.DENIED]
    for port in (3, 5):
        events = feed(sequences, knock(port, "198.51.100.2"), 1.0)
    assert any(isinstance(event, Opened) for event in events)
    assert why(feed(sequences, knock(3, "198.51.100.2"), 5.0)) == [NotHeardCause.COOLDOWN]
    assert why(feed(sequences, knock(3, "198.51.100.2"), 11.0)) == []
