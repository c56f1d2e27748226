"""What an API key is made of: its identifier, the HMAC secret and how it is kept, public keys given as PEM."""

import secrets
import string
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from serve.errors import ApiError, Code

KEY_CHARS: Final = 64
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 4096
MAX_PEM_CHARS: Final = 2_048
_ALPHABET: Final = string.ascii_letters + string.digits
_NONCE_BYTES: Final = 12

PublicKey = RSAPublicKey | Ed25519PublicKey


class KeyKind(StrEnum):
    HMAC = "HMAC"
    RSA = "RSA"
    ED25519 = "ED25519"


def new_identifier() -> str:
    """Of a key, and equally a secret: 64 letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(KEY_CHARS))


def is_identifier(text: str) -> bool:
    return len(text) == KEY_CHARS and text.isascii() and text.isalnum()


class Vault:
    """Seals HMAC secrets. To check an HMAC one must know the secret, so a hash of it cannot be kept as of a password."""

    def __init__(self, exchange_secret: bytes) -> None:
        key = HKDF(SHA256(), 32, salt=None, info=b"raypit api key secrets").derive(exchange_secret)
        self._cipher = AESGCM(key)

    def seal(self, api_key: str, secret: str) -> bytes:
        """Bound to its key: a row's secret is of no use in another row."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode("ascii"), api_key.encode("ascii"))

    def open(self, api_key: str, sealed: bytes) -> bytes:
        """ValueError when it was sealed under another exchange's secret, or for another key."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], api_key.encode("ascii"))
        except InvalidTag:
            raise ValueError("the secret was sealed by another exchange") from None


def public_key_of(pem: str) -> tuple[KeyKind, PublicKey]:
    """VALIDATION unless it is an Ed25519 or a 2048 to 4096 bit RSA public key (`BEGIN PUBLIC KEY`)."""
    if "BEGIN PUBLIC KEY" not in pem or len(pem) > MAX_PEM_CHARS:
        raise _bad_pem("Give the public half of an Ed25519 or RSA key as PEM (-----BEGIN PUBLIC KEY-----).")
    try:
        key = load_pem_public_key(pem.encode("ascii"))
    except (ValueError, UnsupportedAlgorithm):
        raise _bad_pem("This is not a public key in PEM.") from None
    if isinstance(key, Ed25519PublicKey):
        return KeyKind.ED25519, key
    if not isinstance(key, RSAPublicKey):
        raise _bad_pem("Only Ed25519 and RSA keys are supported.")
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise _bad_pem(f"An RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits; this one has {key.key_size}.")
    return KeyKind.RSA, key


def _bad_pem(text: str) -> ApiError:
    return ApiError(Code.VALIDATION, text, "public_key")
