"""Signatures and timestamps of the venue's API; the HMAC figures are those of the venue's own documents."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from serve.auth.api_keys import Key
from serve.auth.key_material import KeyKind, public_key_of
from serve.binance.errors import BinanceError
from serve.binance.sent import sent
from serve.binance.signing import check_signature, check_time

API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
WHOLE = (
    b"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
)
WHOLE_SIGNATURE = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
QUERY, BODY = (
    b"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC",
    b"quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
)
MIXED_SIGNATURE = "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77"
HMAC_KEY = Key(API_KEY, 1, "alice", KeyKind.HMAC, True, True, (), SECRET)
NOW_US = 1_800_000_000_000_000


def pem(public: "ed25519.Ed25519PublicKey | rsa.RSAPublicKey") -> str:
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def key_for(public: "ed25519.Ed25519PublicKey | rsa.RSAPublicKey") -> Key:
    kind, loaded = public_key_of(pem(public))
    return Key(API_KEY, 1, "alice", kind, True, True, (), public_key=loaded)


def code_of(raised: "pytest.ExceptionInfo[BinanceError]") -> tuple[int, str]:
    return raised.value.code, raised.value.msg


@pytest.mark.parametrize(
    ("query", "body", "signature"),
    [
        (b"", WHOLE + b"&signature=" + WHOLE_SIGNATURE.encode(), WHOLE_SIGNATURE),
        (WHOLE + b"&signature=" + WHOLE_SIGNATURE.encode(), b"", WHOLE_SIGNATURE),
        (WHOLE, b"signature=" + WHOLE_SIGNATURE.encode(), WHOLE_SIGNATURE),
        (QUERY, BODY + b"&signature=" + MIXED_SIGNATURE.encode(), MIXED_SIGNATURE),
        (b"signature=" + WHOLE_SIGNATURE.encode() + b"&" + WHOLE, b"", WHOLE_SIGNATURE),
        (WHOLE[:14] + b"signature=" + WHOLE_SIGNATURE.encode() + b"&" + WHOLE[14:], b"", WHOLE_SIGNATURE),
    ],
)
def test_documented_examples(query: bytes, body: bytes, signature: str) -> None:
    one = sent(query, body)
    assert one.signature == signature
    assert "signature" not in one.values
    check_signature(HMAC_KEY, one.payload, signature)
    check_signature(HMAC_KEY, one.payload, signature.upper())
    assert one.values["quantity"] == "1"


def test_bytes_are_verified_as_sent() -> None:
    """An encoded and a plain comma are the same value and not the same payload."""
    encoded, plain = sent(b"a=x%2Cy&b=1+2", b""), sent(b"a=x,y&b=1%202", b"")
    assert encoded.values == plain.values == {"a": "x,y", "b": "1 2"}
    assert (encoded.payload, plain.payload) == (b"a=x%2Cy&b=1+2", b"a=x,y&b=1%202")


def test_the_query_string_wins_and_duplicates_are_refused() -> None:
    assert sent(b"a=1", b"a=2&b=3").values == {"a": "1", "b": "3"}
    for query, body in ((b"a=1&a=1", b""), (b"", b"a=1&a=2"), (b"%61=1&a=2", b"")):
        with pytest.raises(BinanceError) as raised:
            sent(query, body)
        assert code_of(raised) == (-1101, "Duplicate values for a parameter detected.")


def test_what_is_not_text_is_refused() -> None:
    for query in (b"a=%ff", b"a=\xc3\x28"):
        with pytest.raises(BinanceError) as raised:
            sent(query, b"")
        assert raised.value.code == -1100


def test_asymmetric_signatures() -> None:
    edwards, other = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    check_signature(key_for(edwards.public_key()), WHOLE, base64.b64encode(edwards.sign(WHOLE)).decode())
    private = rsa.generate_private_key(65537, 2048)
    proof = base64.b64encode(private.sign(WHOLE, padding.PKCS1v15(), SHA256())).decode()
    check_signature(key_for(private.public_key()), WHOLE, proof)
    for key, signature in (
        (key_for(edwards.public_key()), base64.b64encode(other.sign(WHOLE)).decode()),
        (key_for(edwards.public_key()), "not base64!"),
        (key_for(private.public_key()), base64.b64encode(edwards.sign(WHOLE)).decode()),
        (HMAC_KEY, "0" * 64),
    ):
        with pytest.raises(BinanceError) as raised:
            check_signature(key, WHOLE, signature)
        assert code_of(raised) == (-1022, "Signature for this request is not valid.")


def test_an_hmac_signature_is_hexadecimal() -> None:
    with pytest.raises(BinanceError) as raised:
        check_signature(HMAC_KEY, WHOLE, "g" * 64)
    text = "Illegal characters found in parameter 'signature'; legal range is '^[A-Fa-f0-9]{64}$'."
    assert code_of(raised) == (-1100, text)


OUTSIDE = (-1021, "Timestamp for this request is outside of the recvWindow.")
AHEAD = (-1021, "Timestamp for this request was 1000ms ahead of the server's time.")


@pytest.mark.parametrize(
    ("offset_us", "window", "refused"),
    [
        (0, None, None),
        (-5_000_000, None, None),
        (-5_000_001, None, OUTSIDE),
        (999_999, None, None),
        (1_000_000, None, AHEAD),
        (-60_000_000, "60000", None),
        (-60_000_000, "60000.000", None),
        (-1_500, "1.5", None),
        (-1_501, "1.5", OUTSIDE),
        (-1_000, "0.999", OUTSIDE),
        (0, "60000.001", (-1131, "recvWindow must be less than 60000")),
        (0, "1.0001", (-1111, "Parameter 'recvWindow' has too much precision.")),
        (0, "", (-1105, "Parameter 'recvWindow' was empty.")),
    ],
)
def test_windows(offset_us: int, window: str | None, refused: tuple[int, str] | None) -> None:
    values = {"timestamp": str(NOW_US + offset_us)} | ({} if window is None else {"recvWindow": window})
    if refused is None:
        assert check_time(values, NOW_US) == (1 if window is None else 2)
        assert not values, "both are taken out"
        return
    with pytest.raises(BinanceError) as raised:
        check_time(values, NOW_US)
    assert code_of(raised) == refused


def test_milliseconds_and_what_is_no_time() -> None:
    assert check_time({"timestamp": str(NOW_US // 1000)}, NOW_US) == 1
    for text, code in (("-1", -1100), ("1.5", -1100), ("x", -1100), ("", -1105), ("1" * 21, -1100), ("１２", -1100)):
        with pytest.raises(BinanceError) as raised:
            check_time({"timestamp": text}, NOW_US)
        assert raised.value.code == code
