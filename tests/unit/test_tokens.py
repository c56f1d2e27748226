"""Access tokens: what we issue is accepted until it expires, and nothing else is, however it is signed."""

import base64
import json
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve.auth.principal import Role
from serve.auth.tokens import ACCESS_LIFETIME_S, AUDIENCE, ISSUER, AccessTokens, Claims
from serve.errors import ApiError, Code

SECRET = bytes(range(32))
NOW = 1_800_000_000.0
TOKENS = AccessTokens(SECRET)
GOOD = TOKENS.issue(7, 11, Role.USER, NOW)

PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf
9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==
-----END PUBLIC KEY-----
"""


def segment(value: Any) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "7",
        "sid": "11",
        "role": "user",
        "iat": int(NOW),
        "exp": int(NOW) + ACCESS_LIFETIME_S,
        "jti": "a",
    }
    made.update(changes)
    return {name: value for name, value in made.items() if value is not None}


def signed(body: dict[str, Any], key: bytes = SECRET, algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(body, key, algorithm, headers=header or None)


def refused(token: str, now: float = NOW) -> Code:
    with pytest.raises(ApiError) as caught:
        TOKENS.verify(token, now)
    return caught.value.code


def test_a_token_of_ours() -> None:
    expires_at = int(NOW) + ACCESS_LIFETIME_S
    assert TOKENS.verify(GOOD, NOW) == Claims(7, 11, Role.USER, expires_at)
    assert TOKENS.verify(GOOD, expires_at - 1) == TOKENS.verify(signed(claims()), NOW)
    assert refused(GOOD, expires_at) is Code.TOKEN_EXPIRED


def test_every_token_differs() -> None:
    assert len({TOKENS.issue(7, 11, Role.USER, NOW) for _ in range(50)}) == 50


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="32"):
        AccessTokens(b"x" * 31)


def test_without_a_signature() -> None:
    body = segment(claims())
    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        header = segment({"alg": algorithm, "typ": "JWT"})
        for signature in ("", GOOD.rpartition(".")[2]):
            assert refused(f"{header}.{body}.{signature}") is Code.UNAUTHENTICATED
    head = GOOD.partition(".")[0]
    assert refused(f"{head}.{body}.") is Code.UNAUTHENTICATED
    assert refused(f"{head}.{body}") is Code.UNAUTHENTICATED


def test_another_key_or_algorithm() -> None:
    assert refused(signed(claims(), b"y" * 32)) is Code.UNAUTHENTICATED
    for algorithm in ("HS384", "HS512"):
        assert refused(signed(claims(), SECRET * 2, algorithm)) is Code.UNAUTHENTICATED
        assert refused(AccessTokensWith(SECRET * 2).sign(algorithm)) is Code.UNAUTHENTICATED


class AccessTokensWith:
    """Signs what `jwt.encode` may refuse to: any header over any key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, algorithm: str, digest: str = "HS256", **header: Any) -> str:
        head = segment({"alg": algorithm, "typ": "JWT", **header})
        message = f"{head}.{segment(claims())}"
        signer = jwt.get_algorithm_by_name(digest)
        return f"{message}.{segment(signer.sign(message.encode(), self._key))}"


def test_confusion_of_hmac_and_rsa() -> None:
    """The public key of an RSA pair used as an HMAC key, and an RSA header over an HMAC signature."""
    assert refused(AccessTokensWith(PUBLIC_KEY.encode()).sign("HS256")) is Code.UNAUTHENTICATED
    for algorithm in ("RS256", "PS256", "ES256", "EdDSA"):
        assert refused(AccessTokensWith(PUBLIC_KEY.encode()).sign(algorithm)) is Code.UNAUTHENTICATED
        assert refused(AccessTokensWith(SECRET).sign(algorithm)) is Code.UNAUTHENTICATED


@pytest.mark.parametrize(
    "header",
    [
        {"kid": "../../../../dev/null"},
        {"kid": "' union select 'x"},
        {"kid": "|id"},
        {"jku": "https://evil.test/keys.json"},
        {"x5u": "https://evil.test/cert.pem"},
        {"jwk": {"kty": "oct", "k": segment(b"y" * 32)}},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
        {"b64": False, "crit": ["b64"]},
        {"zip": "DEF"},
    ],
    ids=str,
)
def test_headers_that_point_at_another_key(header: dict[str, Any]) -> None:
    for key in (b"", b"\0" * 32, b"y" * 32, SECRET):
        assert refused(AccessTokensWith(key).sign("HS256", **header)) is Code.UNAUTHENTICATED


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "other"},
        {"iss": None},
        {"iss": ["raypit"]},
        {"aud": "other"},
        {"aud": None},
        {"aud": []},
        {"sub": None},
        {"sub": 7},
        {"sub": "-7"},
        {"sub": "seven"},
        {"sub": "9" * 30},
        {"sid": None},
        {"sid": 11},
        {"sid": "x"},
        {"role": None},
        {"role": "root"},
        {"role": "agent"},
        {"role": ["admin"]},
        {"jti": None},
        {"iat": None},
        {"iat": int(NOW) + 3_600, "exp": int(NOW) + 3_700},
        {"iat": "now"},
        {"iat": True},
        {"exp": None},
        {"exp": str(int(NOW) + 60)},
        {"exp": NOW + 60.5},
        {"exp": int(NOW) + 365 * 86_400},
        {"exp": 10**400},
    ],
    ids=str,
)
def test_claims_that_do_not_fit(changes: dict[str, Any]) -> None:
    try:
        token = signed(claims(**changes))
    except TypeError:  # jwt.encode itself refuses such an issuer
        return
    assert refused(token) is Code.UNAUTHENTICATED


def test_expired_long_ago() -> None:
    issued = int(NOW) - 3_600
    assert refused(signed(claims(iat=issued, exp=issued + ACCESS_LIFETIME_S))) is Code.TOKEN_EXPIRED


def test_every_truncation_and_every_changed_character() -> None:
    for length in range(len(GOOD)):
        assert refused(GOOD[:length]) is Code.UNAUTHENTICATED
    # The last character carries two bits that no signature uses.
    for at in range(len(GOOD) - 1):
        other = "A" if GOOD[at] != "A" else "B"
        assert refused(GOOD[:at] + other + GOOD[at + 1 :]) is Code.UNAUTHENTICATED
    assert refused(GOOD + "A" * 2_000) is Code.UNAUTHENTICATED


@given(st.text(max_size=120) | st.text(alphabet="eyJhbGciOi.-_=", max_size=120))
@settings(max_examples=200, deadline=None)
def test_any_text(token: str) -> None:
    assert refused(token) is Code.UNAUTHENTICATED
    assert refused(GOOD.partition(".")[0] + "." + token) is Code.UNAUTHENTICATED
