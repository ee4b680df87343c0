"""The cipher of SPA packets: AES-256-CBC. The only room that imports ``cryptography``.

It is loaded for the first packet, so that who has no such door needs no such library. Key and IV come
from a password as in OpenSSL's ``enc -md md5``: whoever has one packet can try passwords at full
speed, so that only random ones are any good.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import md5

BLOCK = 16  # octets
SALT = 8
_NEEDED = "SPA packets need the library python3-cryptography, or: pip install 'pyknockd[spa]'"


class CryptoMissingError(Exception):
    """The library is not there, or cannot be used; the text says what to install."""


class CipherError(Exception):
    """These octets were not encrypted with this password."""


@dataclass(frozen=True, slots=True)
class KeyAndIv:
    """32 octets and 16 octets."""

    key: bytes = field(repr=False)
    iv: bytes = field(repr=False)


def require() -> None:
    """Raises CryptoMissingError if packets could be neither read nor made."""
    encrypt(b"password", bytes(SALT), b"")


def derive(password: bytes, salt: bytes) -> KeyAndIv:
    """What ``password`` gives with ``salt``, 8 octets: EVP_BytesToKey with MD5, one round."""
    block, derived = b"", b""
    while len(derived) < 48:
        block = md5(block + password + salt, usedforsecurity=False).digest()
        derived += block
    return KeyAndIv(derived[:32], derived[32:48])


def encrypt(password: bytes, salt: bytes, plaintext: bytes) -> bytes:
    """``plaintext`` of any length, padded and encrypted. Raises CryptoMissingError."""
    padding = BLOCK - len(plaintext) % BLOCK
    return _aes_cbc(derive(password, salt), plaintext + bytes([padding]) * padding, encrypting=True)


def decrypt(password: bytes, salt: bytes, ciphertext: bytes) -> bytes:
    """What was encrypted. Raises CryptoMissingError, CipherError."""
    if not ciphertext or len(ciphertext) % BLOCK:
        raise CipherError
    padded = _aes_cbc(derive(password, salt), ciphertext, encrypting=False)
    padding = padded[-1]
    if not 1 <= padding <= BLOCK or padded[-padding:] != bytes([padding]) * padding:
        raise CipherError
    return padded[:-padding]


def _aes_cbc(keys: KeyAndIv, octets: bytes, *, encrypting: bool) -> bytes:
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    except ImportError as error:
        raise CryptoMissingError(f"{_NEEDED} ({error})") from error
    cipher = Cipher(algorithms.AES(keys.key), modes.CBC(keys.iv))
    context = cipher.encryptor() if encrypting else cipher.decryptor()
    return bytes(context.update(octets) + context.finalize())
