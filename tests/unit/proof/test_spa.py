"""What a packet is granted, and why it is not."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.model import Protocol
from pyknockd.model.access import Access, Keys, MessageType, Nat, Port
from pyknockd.proof.spa import Arrival, Grant, Reason, Refusal, Spa
from pyknockd.proof.spa_packet import Part, encode
from tests.support.spa import (
    ARRIVAL,
    DNS,
    FROM_CLIENT,
    KEYS,
    ME,
    NOW,
    OTHER_KEYS,
    SALT,
    SERVER,
    SSH,
    THIRD,
    access,
    heard,
    message,
    mutants,
    packet,
    vectors,
)

pytest.importorskip("cryptography", reason="needs python3-cryptography")
MUTANTS = mutants(2_000)


def granted(payload: bytes, *accesses: Access, arrival: Arrival = ARRIVAL) -> Grant:
    answer = heard(payload, *accesses, arrival=arrival)
    assert isinstance(answer, Grant), answer
    return answer


def refused(payload: bytes, *accesses: Access, arrival: Arrival = ARRIVAL) -> Refusal:
    answer = heard(payload, *accesses, arrival=arrival)
    assert isinstance(answer, Refusal), answer
    return answer


def test_a_packet_opens_its_ports_to_its_sender() -> None:
    grant = granted(packet(message("0.0.0.0,tcp/22,udp/53,tcp/022")))
    assert (grant.address, grant.ports, grant.seconds) == (ME, (SSH, DNS), 30)
    assert (grant.arrival, grant.nat) == (ARRIVAL, None)


def test_packets_of_a_client_open_what_they_ask_for() -> None:
    door = access(may_nat=True)
    plain, timed, nat = (granted(payload, door) for payload in FROM_CLIENT.values())
    assert (plain.address, plain.ports, plain.seconds) == (THIRD, (SSH,), 30)
    assert (timed.address, timed.ports, timed.seconds) == (ME, (SSH, DNS), 90)
    assert (nat.ports, nat.nat) == ((SSH,), Nat("10.0.3.4", 2222))


def test_packets_of_real_clients_open_what_they_ask_for() -> None:
    count = 0
    for vector in vectors().good:
        if vector.keys is None:
            other = access(open_ports=None)
            assert refused(vector.payload, other).reason is Reason.HMAC
            continue
        expected = vector.expected
        door = access(keys=vector.keys, open_ports=None, may_nat=True, may_nat_locally=True)
        arrival = replace(ARRIVAL, time=int(str(expected["timestamp"])) + 0.5)
        if expected["message_type"] == 0:
            assert refused(vector.payload, door, arrival=arrival).reason is Reason.COMMAND
            continue
        grant = granted(vector.payload, door, arrival=arrival)
        address = expected["allow_ip"] if expected["allow_ip"] != "0.0.0.0" else ME
        assert (grant.address, ",".join(map(str, grant.ports))) == (address, expected["request"])
        count += 1
    assert count >= 10


def test_packets_that_must_be_refused_are_refused() -> None:
    refusals = vectors().refused
    for vector in refusals:
        keys = vector.keys or KEYS
        answer = refused(vector.payload, access(keys=keys, open_ports=None))
        assert answer.reason in (Reason.HMAC, Reason.NOT_SPA), vector.name
    assert refusals


def test_an_address_of_either_family_may_be_named() -> None:
    assert granted(packet(message(f"{THIRD},tcp/22"))).address == THIRD
    assert granted(packet(message("2001:DB8:0::1,tcp/22"))).address == "2001:db8::1"
    over_6 = Arrival("2001:db8::7", "2001:db8::9", NOW)
    assert granted(packet(), arrival=over_6).address == "2001:db8::7"


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.9", "255.255.255.255", "224.0.0.1", "0.1.2.3", "240.0.0.1"),
        *("::", "::1", "ff02::1", "::ffff:192.0.2.1", "fe80::1%eth0"),
    ],
)
def test_what_is_no_address_of_a_machine_is_let_in_by_nobody(text: str) -> None:
    assert refused(packet(message(f"{text},tcp/22"))).reason is Reason.ADDRESS


@pytest.mark.parametrize(
    "text",
    [
        *("010.0.0.9,tcp/22", "10.0.0.0/8,tcp/22", "host,tcp/22", ",tcp/22", "tcp/22", ""),
        *("0.0.0.0,", "0.0.0.0,tcp/0", "0.0.0.0,tcp/65536", "0.0.0.0,tcp/22,", "0.0.0.0,TCP/22"),
        *("0.0.0.0,icmp/1", "0.0.0.0,tcp/22-25", "0.0.0.0, tcp/22", "0.0.0.0,tcp/+22"),
        *("0.0.0.0,none/0", "0.0.0.0,tcp", "0.0.0.0,tcp/000022", "0.0.0.0,tcp/²"),
    ],
)
def test_a_message_that_is_none_is_malformed(text: str) -> None:
    answer = refused(packet(message(text)), access(open_ports=None))
    assert (answer.reason, answer.part) == (Reason.MALFORMED, Part.MESSAGE)


def test_a_door_may_want_an_address_and_the_senders_own() -> None:
    careful = access(needs_address=True)
    assert refused(packet(), careful).reason is Reason.ADDRESS
    assert granted(packet(message(f"{THIRD},tcp/22")), careful).address == THIRD
    strict = access(needs_own_address=True)
    assert granted(packet(), strict).address == ME
    assert granted(packet(message(f"{ME},tcp/22")), strict).address == ME
    assert refused(packet(message(f"{THIRD},tcp/22")), strict).reason is Reason.ADDRESS
    both = access(needs_address=True, needs_own_address=True)
    assert granted(packet(message(f"{ME},tcp/22")), both).address == ME


def test_time_is_checked_both_ways() -> None:
    for off in (-120, 0, 120):
        assert granted(packet(), arrival=replace(ARRIVAL, time=NOW + off)).message.stamped == NOW
    late = refused(packet(), arrival=replace(ARRIVAL, time=NOW + 7_200))
    assert (late.reason, late.seconds_off) == (Reason.CLOCK, -7_200)
    early = refused(packet(), arrival=replace(ARRIVAL, time=NOW - 121))
    assert (early.reason, early.seconds_off) == (Reason.CLOCK, 121)


def test_a_port_outside_is_refused_and_named() -> None:
    other = Port(Protocol.TCP, 80)
    answer = refused(packet(message("0.0.0.0,tcp/22,tcp/80")))
    assert (answer.reason, answer.port) == (Reason.PORT, other)
    closed = access(restricted_ports=(SSH,), open_ports=None)
    assert refused(packet(), closed).port == SSH
    assert granted(packet(message("0.0.0.0,tcp/80")), closed).ports == (other,)
    assert refused(packet(), access(open_ports=())).reason is Reason.PORT


def test_a_clients_timeout_is_capped_always() -> None:
    def seconds(timeout: int) -> int:
        said = message(kind=MessageType.ACCESS_TIMEOUT, timeout=timeout)
        return granted(packet(said), access(open_for=40, longest=60)).seconds

    assert [seconds(0), seconds(5), seconds(60), seconds(131_072)] == [40, 5, 60, 60]


def test_an_access_that_has_ended_is_none() -> None:
    assert granted(packet(), access(expires=NOW + 1))
    assert refused(packet(), access(expires=NOW)).reason is Reason.EXPIRED


def test_source_destination_and_user_are_looked_at() -> None:
    mine, others = (ip_network(ME),), (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
    assert granted(packet(), access(sources=mine, destinations=(ip_network(SERVER),)))
    assert refused(packet(), access(sources=others)).reason is Reason.SOURCE
    assert refused(packet(), access(destinations=others)).reason is Reason.SOURCE
    no_destination = replace(ARRIVAL, destination="")
    assert refused(packet(), access(destinations=mine), arrival=no_destination)
    assert granted(packet(), access(user="alice"))
    assert refused(packet(), access(user="bob")).reason is Reason.USER


def test_a_command_is_refused() -> None:
    said = message("0.0.0.0,/bin/id", MessageType.COMMAND)
    assert refused(packet(said), access(open_ports=None)).reason is Reason.COMMAND


def test_nat_is_for_doors_that_allow_it() -> None:
    said = message(kind=MessageType.NAT, nat=Nat("10.0.3.4", 2222))
    assert refused(packet(said)).reason is Reason.NAT
    assert granted(packet(said), access(may_nat=True)).nat == Nat("10.0.3.4", 2222)
    assert refused(packet(said), access(may_nat_locally=True)).reason is Reason.NAT
    named = replace(said, nat=Nat("inner.example", 2222))
    assert refused(packet(named), access(may_nat=True)).reason is Reason.NAT
    loop = replace(said, nat=Nat("127.0.0.1", 2222))
    assert refused(packet(loop), access(may_nat=True)).reason is Reason.NAT


def test_local_nat_goes_to_this_machine_whatever_the_client_calls_it() -> None:
    said = message(kind=MessageType.LOCAL_NAT_TIMEOUT, nat=Nat("gate.example", 22), timeout=9)
    grant = granted(packet(said), access(may_nat_locally=True))
    assert (grant.nat, grant.seconds) == (Nat(SERVER, 22), 9)
    assert refused(packet(said), access(may_nat=True)).reason is Reason.NAT


def test_a_doors_own_nat_goes_before_the_clients() -> None:
    forced = access(forced_nat=Nat("10.9.9.9", 22))
    assert granted(packet(), forced).nat == Nat("10.9.9.9", 22)
    said = message(kind=MessageType.NAT, nat=Nat("10.0.3.4", 2222))
    assert granted(packet(said), forced).nat == Nat("10.9.9.9", 22)


def test_the_first_access_that_says_yes_decides() -> None:
    other, narrow = access(keys=OTHER_KEYS), access(name="narrow", open_ports=(DNS,))
    wide = access(name="wide")
    assert granted(packet(), other, narrow, wide).access is wide
    answer = refused(packet(), other, narrow)
    assert (answer.reason, answer.access) == (Reason.PORT, narrow)


def test_without_the_right_hmac_nothing_is_told() -> None:
    assert refused(packet(), access(keys=OTHER_KEYS)) == Refusal(Reason.HMAC)
    assert refused(b"A" * 200) == Refusal(Reason.HMAC)
    assert refused(b"hello") == Refusal(Reason.NOT_SPA)
    assert heard(packet(), *[]) != Refusal(Reason.HMAC)
    assert Spa(()).hear(packet(), ARRIVAL) == Refusal(Reason.HMAC)


def test_another_encryption_key_under_the_right_hmac_is_told() -> None:
    mixed = access(keys=Keys(OTHER_KEYS.encryption, KEYS.hmac))
    answer = refused(packet(), mixed)
    assert answer.reason is Reason.MALFORMED and answer.part in (Part.KEY, Part.DIGEST)


def test_a_packet_that_was_used_is_known_by_its_digest() -> None:
    first, second = granted(packet()), granted(packet(salt=b"another!"))
    assert first.digest != second.digest and len(first.digest) == 32
    spa = Spa([access()], {first.digest}.__contains__)
    answer = spa.hear(packet(), ARRIVAL)
    assert isinstance(answer, Refusal) and answer.reason is Reason.REPLAYED
    assert isinstance(spa.hear(packet(salt=b"another!"), ARRIVAL), Grant)


def test_without_the_library_the_packet_is_refused_and_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    payload = packet()
    monkeypatch.setitem(__import__("sys").modules, "cryptography.hazmat.primitives.ciphers", None)
    assert refused(payload).reason is Reason.NO_CRYPTO


def test_keys_are_in_no_text() -> None:
    for answer in (granted(packet()), refused(packet(), access(expires=0))):
        for secret in (KEYS.encryption, KEYS.hmac):
            assert secret.octets.decode() not in f"{answer!r}{answer}"


@given(st.binary(max_size=600))
def test_any_octets_are_refused(payload: bytes) -> None:
    assert isinstance(heard(payload), Refusal)


def test_no_mutation_of_a_good_packet_is_accepted() -> None:
    chance = random.Random(7)
    good = [packet(), *FROM_CLIENT.values()]
    spa = Spa([access(open_ports=None, may_nat=True), access(keys=OTHER_KEYS)])
    for _ in range(MUTANTS):
        mutant = mutation(chance, good)
        assert mutant in good or isinstance(spa.hear(mutant, ARRIVAL), Refusal), mutant


def mutation(chance: random.Random, good: list[bytes]) -> bytes:
    """One of ``good`` with something changed, left out, put in, doubled or swapped."""
    payload = bytearray(chance.choice(good))
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        place = chance.randrange(len(payload))
        letter = chance.choice(b"ABCXYZabcxyz0189+/=\n\0\xff")
        match chance.randrange(6):
            case 0:
                payload[place] = letter
            case 1:
                payload[place] ^= 1 << chance.randrange(8)
            case 2:
                del payload[place : place + chance.choice((1, 4, 16))]
            case 3:
                payload.insert(place, letter)
            case 4:
                payload += payload[place:][: chance.choice((1, 4, 43))] or b"="
            case _:
                other = chance.choice(good)
                payload[place:] = other[place:]
        if not payload:
            return b""
    return bytes(payload)


def test_no_mutation_of_a_text_under_the_right_keys_raises() -> None:
    """Whoever has the keys can send any text: it is read or refused."""
    chance = random.Random(8)
    door = access(open_ports=None, may_nat=True, may_nat_locally=True)
    letters = "0123456789.,:/abctudp%$ -"
    for _ in range(MUTANTS // 4):
        text = "".join(chance.choices(letters, k=chance.randrange(40)))
        said = message(chance.choice((text, f"0.0.0.0,{text}", f"{text},tcp/22")))
        answer = heard(encode(said, KEYS, SALT) if len(text) > 5 else packet(said), door)
        if isinstance(answer, Grant):
            assert answer.ports
