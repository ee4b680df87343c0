"""Knocks that a clock changes: codes as RFC 6238 says, and each of them once."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.model.access import Secret
from pyknockd.proof.rotating import (
    Accepted,
    Limits,
    Person,
    Ports,
    Rotating,
    Scheme,
    SecretError,
    Wrong,
    code,
    parse_secret,
    secret_text,
    time_step,
    uri,
)
from tests.support.spa import mutants

RFC_SECRET = Secret(b"12345678901234567890")
NOW = 1_800_000_000.0
STEP = 60_000_000
ALICE = Person("alice", RFC_SECRET)
BOB = Person("bob", Secret(b"another secret of some octets"))
ME, OTHER = "192.0.2.1", "192.0.2.2"
TIMES = mutants(1_000)


SIX = Scheme()


def rotating(
    people: Iterable[Person] = (ALICE,), scheme: Scheme = SIX, limits: Limits | None = None
) -> Rotating:
    return Rotating(people, scheme, limits or Limits())


def ports(step: int, person: Person = ALICE, scheme: Scheme = SIX) -> Ports:
    return scheme.ports(code(person.secret, step, scheme.digits))


def wrong_ports(*steps: int) -> Ports:
    """A code that is right in none of a few steps."""
    right = {ports(STEP + off) for off in range(-20, 21)}
    return next(two for n in range(1_000) if (two := Ports(20_000 + n, 20_000)) not in right)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (59, "94287082"),
        (1_111_111_109, "07081804"),
        (1_111_111_111, "14050471"),
        (1_234_567_890, "89005924"),
        (2_000_000_000, "69279037"),
        (20_000_000_000, "65353130"),
    ],
)
def test_the_codes_are_those_of_rfc_6238(seconds: int, expected: str) -> None:
    """Its appendix B."""
    assert code(RFC_SECRET, time_step(seconds), 8) == expected
    assert code(RFC_SECRET, time_step(seconds), 6) == expected[2:]


def test_a_code_is_two_ports() -> None:
    assert Scheme().ports("123456") == Ports(20_123, 20_456)
    assert Scheme(digits=8).ports("12345678") == Ports(21_234, 25_678)
    assert Scheme().ports("007000") == Ports(20_007, 20_000)
    assert Scheme(base=30_000).ports("123456") == Ports(30_123, 30_456)
    assert (Scheme().size, Scheme(digits=8).size) == (1_000, 10_000)


@pytest.mark.parametrize(
    "changes",
    [
        *({"digits": 7}, {"base": 1_023}, {"base": 64_537}, {"drift": -1}, {"drift": 11}),
        {"digits": 8, "base": 55_537},
    ],
)
def test_a_scheme_that_cannot_be_is_none(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"has|begin|apart"):
        Scheme(**changes)


@dataclass(frozen=True)
class Sample:
    secret: Secret
    seconds: int
    digits: int


def samples(count: int) -> list[Sample]:
    """Random secrets, times and digits."""
    chance = random.Random(3)
    return [
        Sample(
            Secret(chance.randbytes(chance.choice((16, 20, 32)))),
            chance.randrange(2**33),
            chance.choice((6, 8)),
        )
        for _ in range(count)
    ]


def test_pyotp_gives_the_same_codes() -> None:
    pyotp = pytest.importorskip("pyotp", reason="needs pyotp")
    for one in samples(TIMES):
        other = pyotp.TOTP(secret_text(one.secret), digits=one.digits).at(one.seconds)
        assert code(one.secret, time_step(one.seconds), one.digits) == other


def test_oathtool_gives_the_same_codes() -> None:
    """Each time for ten steps, one after the other."""
    if shutil.which("oathtool") is None:
        pytest.skip("needs oathtool")
    for one in samples(TIMES // 10):
        words = ["oathtool", "-b", "--totp", f"--digits={one.digits}", f"--now=@{one.seconds}"]
        words += ["--window=9", secret_text(one.secret)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        step = time_step(one.seconds)
        mine = [code(one.secret, step + number, one.digits) for number in range(10)]
        assert done.stdout.split() == mine


# For whoever has a shell and OpenSSL's command.
SHELL = r"""
while read -r key step digits; do
    printf -v message %016x "$step"
    printf -v escaped '\\x%s' $(fold -w2 <<<"$message")
    hash=$(printf "$escaped" | openssl dgst -sha1 -mac HMAC -macopt "hexkey:$key")
    hash=${hash##*[ =]}
    offset=$((0x${hash: -1} * 2))
    printf "%0${digits}d\n" $(((0x${hash:offset:8} & 0x7fffffff) % 10 ** digits))
done
"""


def test_the_openssl_command_gives_the_same_codes() -> None:
    for program in ("openssl", "bash"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    chosen = samples(TIMES // 10)
    lines = [f"{one.secret.octets.hex()} {time_step(one.seconds)} {one.digits}\n" for one in chosen]
    words = ["bash", "-c", SHELL]
    done = subprocess.run(words, input="".join(lines), capture_output=True, text=True, check=True)
    assert done.stderr == ""
    mine = [code(one.secret, time_step(one.seconds), one.digits) for one in chosen]
    assert done.stdout.split() == mine


def test_a_code_of_now_and_of_the_steps_beside_it_is_right() -> None:
    for off in (-1, 0, 1):
        assert rotating().check(ports(STEP + off), ME, NOW) == Accepted("alice", STEP + off)
    for off in (-2, 2):
        assert rotating().check(ports(STEP + off), ME, NOW) is Wrong.CODE
    exact, wide = Scheme(drift=0), Scheme(drift=3)
    assert rotating(scheme=exact).check(ports(STEP - 1), ME, NOW) is Wrong.CODE
    assert rotating(scheme=wide).check(ports(STEP - 3), ME, NOW) == Accepted("alice", STEP - 3)


def test_a_code_is_good_once_and_then_only_later_ones() -> None:
    door = rotating()
    assert door.check(ports(STEP), ME, NOW) == Accepted("alice", STEP)
    assert door.check(ports(STEP), ME, NOW) is Wrong.USED
    assert door.check(ports(STEP), OTHER, NOW) is Wrong.USED
    assert door.check(ports(STEP - 1), ME, NOW) is Wrong.USED
    assert door.check(ports(STEP + 1), ME, NOW) == Accepted("alice", STEP + 1)
    assert door.check(ports(STEP), ME, NOW + 29) is Wrong.USED


def test_a_step_that_was_used_before_a_restart_is_used() -> None:
    door = Rotating((ALICE,), Scheme(), used={"alice": STEP})
    assert door.check(ports(STEP), ME, NOW) is Wrong.USED
    assert door.check(ports(STEP + 1), ME, NOW) == Accepted("alice", STEP + 1)


def test_a_clock_that_is_set_back_brings_no_code_back() -> None:
    door = rotating()
    assert door.check(ports(STEP), ME, NOW) == Accepted("alice", STEP)
    assert door.check(ports(STEP - 9), ME, NOW - 270) is Wrong.USED


def test_each_person_has_codes_of_his_own() -> None:
    door = rotating((ALICE, BOB))
    assert door.check(ports(STEP), ME, NOW) == Accepted("alice", STEP)
    assert door.check(ports(STEP, BOB), ME, NOW) == Accepted("bob", STEP)
    assert door.check(ports(STEP, BOB), ME, NOW) is Wrong.USED


def test_eight_digits_are_two_ports_of_ten_thousand() -> None:
    scheme = Scheme(digits=8)
    door = rotating(scheme=scheme)
    assert door.check(ports(STEP, scheme=scheme), ME, NOW) == Accepted("alice", STEP)


def test_who_guesses_is_not_looked_at_any_more_in_this_step() -> None:
    door, wrong = rotating(), wrong_ports()
    assert [door.check(wrong, ME, NOW) for _ in range(3)] == [Wrong.CODE] * 3
    assert door.check(ports(STEP), ME, NOW) is Wrong.SOURCE_LIMIT
    assert door.check(ports(STEP), OTHER, NOW) == Accepted("alice", STEP)
    assert door.check(ports(STEP + 1), ME, NOW + 30) == Accepted("alice", STEP + 1)


def test_a_network_of_64_bits_is_one_guesser() -> None:
    door, wrong = rotating(), wrong_ports()
    for number in range(3):
        assert door.check(wrong, f"2001:db8:0:1::{number + 1}", NOW) is Wrong.CODE
    assert door.check(wrong, "2001:db8:0:1:ffff::9", NOW) is Wrong.SOURCE_LIMIT
    assert door.check(ports(STEP), "2001:db8:0:2::1", NOW) == Accepted("alice", STEP)


def test_many_who_guess_shut_the_door_for_this_step() -> None:
    door, wrong = rotating(limits=Limits(per_source=3, per_door=30)), wrong_ports()
    for number in range(30):
        assert door.check(wrong, f"198.51.100.{number}", NOW) is Wrong.CODE
    assert door.check(ports(STEP), ME, NOW) is Wrong.DOOR_LIMIT
    assert door.check(ports(STEP + 1), ME, NOW + 30) == Accepted("alice", STEP + 1)


def test_a_used_code_counts_for_no_limit() -> None:
    door = rotating()
    door.check(ports(STEP), ME, NOW)
    for _ in range(50):
        assert door.check(ports(STEP), OTHER, NOW) is Wrong.USED


@given(st.integers(0, 65_535), st.integers(0, 65_535), st.integers(0, 2**40))
def test_other_ports_open_nothing(first: int, second: int, seconds: int) -> None:
    step = time_step(seconds)
    right = {ports(s) for s in (step - 1, step, step + 1) if s >= 0}
    answer = rotating().check(Ports(first, second), ME, float(seconds))
    assert isinstance(answer, Accepted) == (Ports(first, second) in right)


def test_no_mutation_of_a_code_is_accepted() -> None:
    chance = random.Random(5)
    right = {ports(STEP + off) for off in (-1, 0, 1)}
    for _ in range(TIMES):
        two = chance.choice(sorted(right, key=str))
        first = two.first + chance.choice((-1, 0, 1, 10, 1_000))
        mutant = chance.choice((Ports(first, two.second), Ports(two.second, first)))
        if mutant not in right:
            assert rotating().check(mutant, ME, NOW) is Wrong.CODE


def test_a_secret_may_be_typed_in_with_blanks_and_in_either_case() -> None:
    text = "gezd gnbv-GY3T QOJQ gezdgnbvgy3tqojq="
    assert parse_secret(text) == RFC_SECRET
    assert secret_text(RFC_SECRET) == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


@given(st.binary(min_size=16, max_size=64))
def test_a_secret_is_read_as_it_was_written(octets: bytes) -> None:
    assert parse_secret(secret_text(Secret(octets))) == Secret(octets)


@pytest.mark.parametrize(
    "text", ["", "GEZDGNBV", "1" * 32, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ!", "é" * 32]
)
def test_what_is_no_secret_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(SecretError) as error:
        parse_secret(text)
    assert not text or text not in str(error.value)
    assert error.value.__context__ is None or error.value.__suppress_context__


def test_the_uri_says_what_an_authenticator_wants() -> None:
    person = Person("alice@example.org", RFC_SECRET)
    expected = (
        "otpauth://totp/My%20gate:alice%40example.org"
        "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=My%20gate"
    )
    assert uri(person, "My gate", 6) == expected
    assert uri(person, "My gate", 8) == f"{expected}&digits=8"


def test_pyotp_reads_the_uri() -> None:
    pyotp = pytest.importorskip("pyotp", reason="needs pyotp")
    read = pyotp.parse_uri(uri(Person("alice: the 1st", RFC_SECRET), "gate/1", 8))
    assert (read.name, read.issuer, read.digits) == ("alice: the 1st", "gate/1", 8)
    assert read.at(59) == "94287082"


def test_secrets_are_in_no_text() -> None:
    assert "1234567890" not in repr(ALICE) and "1234567890" not in f"{rotating()!r}{Scheme()}"
