"""The cipher of SPA packets, held against OpenSSL's command."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyknockd.proof import spa_crypto
from pyknockd.proof.spa_crypto import CipherError, CryptoMissingError, decrypt, derive, encrypt

pytest.importorskip("cryptography", reason="needs python3-cryptography")
SALT = bytes(range(8))
PASSWORD = b"published in the test suite"


@given(st.binary(min_size=1, max_size=32), st.binary(min_size=8, max_size=8), st.binary())
def test_what_is_encrypted_can_be_decrypted(password: bytes, salt: bytes, text: bytes) -> None:
    ciphertext = encrypt(password, salt, text)
    assert len(ciphertext) % 16 == 0 and len(ciphertext) > len(text)
    assert decrypt(password, salt, ciphertext) == text


def test_openssl_makes_the_same_of_it() -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    words = ["openssl", "enc", "-aes-256-cbc", "-md", "md5", "-S", SALT.hex()]
    words += ["-pass", f"pass:{PASSWORD.decode()}"]
    done = subprocess.run(words, input=b"some text", capture_output=True, check=True)
    # Before OpenSSL 3 the salt stood in front of it.
    assert done.stdout.removeprefix(b"Salted__" + SALT) == encrypt(PASSWORD, SALT, b"some text")


def test_key_and_iv_are_in_no_text() -> None:
    assert repr(derive(PASSWORD, SALT)) == "KeyAndIv()"


@pytest.mark.parametrize("ciphertext", [b"", b"x" * 15, b"x" * 17, b"x" * 16, b"x" * 32])
def test_what_is_not_whole_or_padded_otherwise_is_refused(ciphertext: bytes) -> None:
    with pytest.raises(CipherError):
        decrypt(PASSWORD, SALT, ciphertext)


def test_another_password_is_refused_but_for_one_in_200() -> None:
    """The last octet may look like padding; the packet's digest tells the rest."""
    ciphertext, refused = encrypt(PASSWORD, SALT, b"some text"), 0
    for number in range(200):
        try:
            decrypt(b"%d" % number, SALT, ciphertext)
        except CipherError:
            refused += 1
    assert refused > 190


def test_the_library_is_loaded_for_the_first_packet_only() -> None:
    words = "import sys, pyknockd.proof.spa; sys.exit('cryptography' in sys.modules)"
    subprocess.run([sys.executable, "-c", words], check=True)


def test_where_the_library_is_missing_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spa_crypto.require()
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers", None)
    with pytest.raises(CryptoMissingError, match=r"python3-cryptography.*pyknockd\[spa\]"):
        spa_crypto.require()
