"""fwknop's access.conf: accesses, or every mistake with its file and line."""

from __future__ import annotations

import base64
import errno
import os
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.config.access_conf import Reading, parse
from pyknockd.config.access_values import VALUES
from pyknockd.model import Severity
from pyknockd.model.access import Cycle, Digest, Nat
from tests.support.spa import DNS, SSH

KEY = "a passphrase that nobody knows"
HMAC = "another one that nobody knows"
KEYS = f"KEY {KEY}\nHMAC_KEY {HMAC}\n"
PLAIN = f"SOURCE ANY\nOPEN_PORTS tcp/22\n{KEYS}"
PATH = "access.conf"


class Disk:
    """Files that are not on a disk."""

    def __init__(self, **files: str) -> None:
        self._files = {name.replace("_conf", ".conf"): text for name, text in files.items()}

    def text(self, path: str) -> str:
        if path not in self._files:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self._files[path]

    def configurations(self, folder: str) -> tuple[str, ...]:
        if folder != "more":
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
        return tuple(sorted(self._files))


def read(text: str, **files: str) -> Reading:
    return parse(text, PATH, Disk(**files))


def good(text: str, **files: str) -> Reading:
    reading = read(text, **files)
    assert reading.mistakes == ()
    return reading


def mistakes(text: str, **files: str) -> list[str]:
    """As they are shown: PATH:LINE: TEXT."""
    found = read(text, **files).mistakes
    return [f"{one.path}:{one.remark.line}: {one.remark.text}" for one in found]


def warnings(text: str) -> list[str]:
    return [
        f"{one.remark.line}: {one.remark.text}"
        for one in read(text).remarks
        if one.remark.severity is Severity.WARNING
    ]


def test_a_stanza_is_an_access() -> None:
    reading = good(PLAIN)
    (access,) = reading.accesses
    assert reading.remarks == ()
    assert access.keys.encryption.octets == KEY.encode()
    assert access.keys.hmac.octets == HMAC.encode()
    assert (access.name, access.open_ports, access.sources) == (f"{PATH}:1", (SSH,), ())
    assert (access.open_for, access.longest, access.window) == (30, 300, 120)


def test_everything_that_can_be_said_is_read() -> None:
    octets = bytes(range(32))
    text = (
        "# comment\n; another\n\n"
        "SOURCE: 192.0.2.0/24, 198.51.100.7,2001:db8::/32, 10.0.0.0/255.0.0.0\n"
        "DESTINATION\t203.0.113.1\r\n"
        "OPEN_PORTS: tcp/22, udp/53 ; and no more\n"
        "RESTRICT_PORTS udp/53\n"
        f"KEY_BASE64 {base64.b64encode(octets).decode()}\n"
        f"HMAC_KEY_BASE64:{base64.b64encode(octets * 2).decode()}\n"
        "HMAC_DIGEST_TYPE SHA3_512\n"
        "ENCRYPTION_MODE CBC\n"
        "FW_ACCESS_TIMEOUT 60\nMAX_FW_TIMEOUT 90\n"
        "REQUIRE_SOURCE_ADDRESS Yes\nREQUIRE_USERNAME alice\n"
        "ACCESS_EXPIRE 12/31/2030\n"
        "FORCE_NAT 10.0.3.4 2222\n"
        "ENABLE_CMD_EXEC N\nFORWARD_ALL N\n"
    )
    (access,) = good(text).accesses
    networks = ("192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32", "10.0.0.0/8")
    assert access.sources == tuple(map(ip_network, networks))
    assert access.destinations == (ip_network("203.0.113.1/32"),)
    assert (access.open_ports, access.restricted_ports) == ((SSH, DNS), (DNS,))
    assert access.keys.encryption.octets == octets
    assert access.keys.hmac.octets == octets * 2
    assert access.keys.hmac_digest is Digest.SHA3_512
    assert (access.open_for, access.longest) == (60, 90)
    assert access.needs_address and access.user == "alice"
    assert access.expires == 1_924_905_600  # date -u -d 2030-12-31 +%s
    assert access.forced_nat == Nat("10.0.3.4", 2222)


def test_a_value_ends_at_a_semicolon_and_not_at_a_hash() -> None:
    text = PLAIN.replace(KEY, "one  two # three four five;six")
    (access,) = good(text).accesses
    assert access.keys.encryption.octets == b"one  two # three four five"


def test_a_colon_belongs_to_the_name_once() -> None:
    for line in (f"KEY :{KEY}", f"KEY:{KEY}", f"KEY: {KEY}", f"KEY\t{KEY}", f"  KEY   {KEY}"):
        text = f"SOURCE ANY\nOPEN_PORTS tcp/22\n{line}\nHMAC_KEY {HMAC}\n"
        assert good(text).accesses[0].keys.encryption.octets == KEY.encode()
    (access,) = good(PLAIN.replace(KEY, "with:a\tcolon and a tab")).accesses
    assert access.keys.encryption.octets == b"with:a\tcolon and a tab"


def test_octets_of_any_encoding_are_a_key() -> None:
    (access,) = good(PLAIN.replace(KEY, "b\xe4r of sixteen octets\udcff")).accesses
    assert access.keys.encryption.octets == b"b\xc3\xa4r of sixteen octets\xff"


def test_several_stanzas_are_several_accesses_in_their_order() -> None:
    reading = good(PLAIN + PLAIN.replace("ANY", "192.0.2.1").replace(KEY, KEY.upper()))
    assert [access.name for access in reading.accesses] == [f"{PATH}:1", f"{PATH}:5"]


def test_commands_for_opening_and_closing_are_read() -> None:
    cycle = (
        "CMD_CYCLE_OPEN /bin/open $IP $PORT\nCMD_CYCLE_CLOSE /bin/close $IP\nCMD_CYCLE_TIMER 9\n"
    )
    (access,) = good(PLAIN + cycle).accesses
    assert access.cycle == Cycle("/bin/open $IP $PORT", "/bin/close $IP")
    assert access.open_for == 9
    (access,) = good(PLAIN + "CMD_CYCLE_OPEN /bin/open\nCMD_CYCLE_CLOSE NONE\n").accesses
    assert access.cycle == Cycle("/bin/open", None)


def test_no_ports_are_needed_where_the_port_does_not_matter() -> None:
    without = PLAIN.replace("OPEN_PORTS tcp/22\n", "")
    assert mistakes(without)[0].startswith(f"{PATH}:1: there are no OPEN_PORTS")
    close = "CMD_CYCLE_CLOSE NONE\n"
    (access,) = good(without + "CMD_CYCLE_OPEN /bin/open $IP\n" + close).accesses
    assert access.open_ports is None
    assert "OPEN_PORTS" in mistakes(without + "CMD_CYCLE_OPEN /bin/open $PORT\n" + close)[0]


def test_a_stanza_without_an_hmac_key_is_none() -> None:
    (said,) = mistakes(f"SOURCE ANY\nOPEN_PORTS tcp/22\nKEY {KEY}\n")
    assert said.startswith(f"{PATH}:1: there is no HMAC_KEY")
    (said,) = mistakes(f"SOURCE ANY\nOPEN_PORTS tcp/22\nHMAC_KEY {KEY}\n")
    assert said == f"{PATH}:1: there is no KEY or KEY_BASE64"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("SOURCE elsewhere", "expected ANY"),
        ("SOURCE", "without a value"),
        ("OPEN_PORTS tcp/22,icmp/1", "expected tcp/PORT"),
        ("OPEN_PORTS tcp/0", "expected tcp/PORT"),
        ("OPEN_PORTS 22", "expected tcp/PORT"),
        ("RESTRICT_PORTS tcp/65536", "expected tcp/PORT"),
        ("KEY __CHANGEME__", "filled in"),
        (f"KEY {'k' * 33}", "33 octets; expected 1 to 32"),
        (f"HMAC_KEY {'k' * 129}", "129 octets; expected 1 to 128"),
        ("KEY_BASE64 not base64", "not base64"),
        ("KEY_BASE64 YR==", "not base64"),
        ("HMAC_KEY_BASE64 not base64", "not base64"),
        ("HMAC_DIGEST_TYPE sha224", "expected md5, sha1"),
        ("ENCRYPTION_MODE legacy", "no mode but CBC"),
        ("FW_ACCESS_TIMEOUT -1", "expected a number"),
        ("FW_ACCESS_TIMEOUT 1h", "expected a number"),
        ("MAX_FW_TIMEOUT 0", "expected a number"),
        ("ACCESS_EXPIRE 31/12/2030", "expected a day"),
        ("ACCESS_EXPIRE 1/1", "expected a day"),
        ("ACCESS_EXPIRE_EPOCH soon", "expected a number"),
        ("FORCE_NAT 10.0.0.1", "a blank and a port"),
        ("FORCE_NAT inner 22", "expected an address"),
        ("FORCE_SNAT 10.0.0.1", "not supported"),
        ("FORCE_MASQUERADE Y", "not supported"),
        ("FORWARD_ALL Y", "not supported"),
        ("DISABLE_DNAT y", "not supported"),
        ("GPG_DECRYPT_ID ABCD1234", "GnuPG are not supported"),
        ("GPG_REMOTE_ID ABCD1234", "GnuPG are not supported"),
        ("REQUIRE_SOURCE_ADRESS Y", "did you mean REQUIRE_SOURCE_ADDRESS?"),
        ("%includes more", "expected %include"),
        ("CMD_CYCLE_TIMER 0", "expected a number"),
        (f"CMD_CYCLE_OPEN {'x' * 256}", "at most 255"),
        ("x" * 1_024, "at most 1023 bytes"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(line: str, said: str) -> None:
    name = line.partition(" ")[0]
    stanza = "\n".join(one for one in PLAIN.splitlines() if one.partition(" ")[0] != name)
    text = f"# first\n{stanza}\n{line}\n"
    number = text.splitlines().index(line) + 1
    assert any(one.startswith(f"{PATH}:{number}: ") and said in one for one in mistakes(text)), (
        mistakes(text)
    )


def test_what_belongs_together_must_be_there() -> None:
    assert "together" in mistakes(PLAIN + "CMD_CYCLE_OPEN /bin/open\n")[0]
    assert "together" in mistakes(PLAIN + "CMD_CYCLE_CLOSE /bin/close\n")[0]
    both = "CMD_CYCLE_OPEN /bin/open\nCMD_CYCLE_CLOSE /bin/close\n"
    assert "CMD_CYCLE_TIMER" in mistakes(PLAIN + both)[0]


def test_keys_that_are_the_same_or_there_twice_are_mistakes() -> None:
    assert "must not be the same" in mistakes(PLAIN.replace(HMAC, KEY))[0]
    assert "twice" in mistakes(PLAIN + "KEY more\n")[0]
    assert "already" in mistakes(PLAIN + "KEY_BASE64 YWJjZA==\n")[0]


def test_lines_that_belong_to_no_stanza_are_mistakes() -> None:
    assert mistakes("OPEN_PORTS tcp/22\n" + PLAIN)[0].startswith(f"{PATH}:1: OPEN_PORTS belongs")


def test_short_keys_and_commands_are_warned_of() -> None:
    assert "shorter than 16" in warnings(PLAIN.replace(KEY, "short"))[0]
    said = warnings(PLAIN + "ENABLE_CMD_EXEC Y\nCMD_EXEC_USER nobody\n")
    assert said == ["5: ENABLE_CMD_EXEC: commands in packets are refused, whoever sends them"]
    assert warnings("# nothing\n") == [
        "1: there is no SOURCE in this file: nobody can ask for anything"
    ]


def test_a_stanza_for_anybody_before_one_for_somebody_is_warned_of() -> None:
    (said,) = warnings(PLAIN + PLAIN.replace("ANY", "192.0.2.1"))
    assert said.startswith("5: SOURCE ANY stands before")


def test_two_ends_of_an_access_are_the_earlier() -> None:
    (access,) = good(PLAIN + "ACCESS_EXPIRE_EPOCH 5\nACCESS_EXPIRE 12/31/2030\n").accesses
    assert access.expires == 5


def test_included_files_are_read_where_they_stand() -> None:
    one, two = PLAIN.replace(KEY, KEY + "1"), PLAIN.replace(KEY, KEY + "2")
    reading = good(f"%include one.conf\n{PLAIN}%include two.conf\n", one_conf=one, two_conf=two)
    names = [access.name for access in reading.accesses]
    assert names == ["one.conf:1", f"{PATH}:2", "two.conf:1"]
    folder = good("%include_folder more\n", one_conf=one, two_conf=two)
    assert [access.name for access in folder.accesses] == ["one.conf:1", "two.conf:1"]


def test_an_included_file_may_hold_the_keys_only() -> None:
    text = "SOURCE ANY\nOPEN_PORTS tcp/22\n%include_keys keys\n"
    (access,) = good(text, keys=KEYS).accesses
    assert access.keys.hmac.octets == HMAC.encode()
    (said, *_) = mistakes(text, keys=f"{KEYS}OPEN_PORTS tcp/23\n")
    assert said == "keys:3: expected only keys in this file, found OPEN_PORTS"
    assert mistakes(text, keys=f"%include other\n{KEYS}")[0].startswith("keys:1: expected only")
    assert "belongs to no SOURCE" in mistakes("%include_keys keys\n", keys=KEYS)[0]


def test_mistakes_in_included_files_are_named_with_those() -> None:
    (said,) = mistakes("\n%include one.conf\n", one_conf=PLAIN + "HMAC_DIGEST_TYPE crc\n")
    assert said.startswith("one.conf:5: HMAC_DIGEST_TYPE")
    assert (
        "one.conf:1: OPEN_PORTS belongs"
        in mistakes(PLAIN + "%include one.conf\n", one_conf="OPEN_PORTS tcp/23\n")[0]
    )


def test_files_that_are_not_there_or_name_themselves_are_mistakes() -> None:
    assert mistakes("%include gone\n") == [f"{PATH}:1: cannot read gone: No such file or directory"]
    assert "cannot read gone" in mistakes("%include_folder gone\n")[0]
    (said,) = mistakes("%include loop\n", loop="%include loop\n")
    assert said.startswith("loop:1: loop is not read: expected files included 3 deep")


def test_a_key_on_a_broken_line_is_in_no_message() -> None:
    for line in ("hunter2", "hunter2 hunter2", "KEYS hunter2", "%hunter2 x", "HUNTER2 x", "KEY"):
        text = f"SOURCE ANY\nOPEN_PORTS tcp/22\n{line}\n{KEYS}"
        reading = read(text, keys="hunter2 hunter2")
        assert reading.mistakes
        assert "hunter2" not in repr(reading).lower()


def test_keys_are_in_no_text() -> None:
    reading = read(
        PLAIN + "KEY_BASE64 hunter2hunter2\nHMAC_KEY_BASE64 hunter2!\nGPG_DECRYPT_PW hunter2\n"
    )
    for secret in ("hunter2", KEY, HMAC):
        assert secret not in repr(reading) and secret not in f"{reading}"


LINES = st.one_of(
    st.builds("{} {}".format, st.sampled_from(sorted(VALUES)), st.text(max_size=20)),
    st.sampled_from([*PLAIN.splitlines(), "%include x", "%include_keys x", "%include_folder more"]),
    st.text(max_size=30),
)


@given(st.lists(LINES, max_size=12).map("\n".join), st.lists(LINES, max_size=4).map("\n".join))
def test_any_text_is_read_or_its_mistakes_are_named(text: str, other: str) -> None:
    reading = read(text, x=other)
    assert all(place.remark.line >= 1 for place in reading.remarks)
    assert reading.accesses or reading.remarks
