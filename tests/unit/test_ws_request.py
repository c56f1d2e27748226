"""The envelope of the WebSocket API; signatures and payloads are those of the venue's own documents."""

import hmac

import msgspec
import pytest

from serve.binance.errors import BinanceError
from serve.binance.ws_request import BadEnvelope, encoded_payload_of, parse, payload_of, refusal

API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
BAD_ID = "Invalid 'id' in JSON request; expected an integer, a string matching '^[a-zA-Z0-9-_]{1,36}$', or null."
BAD_PARAMS = "Invalid 'params' in JSON request; expected an object."
BAD_METHOD = "Invalid 'method' in JSON request; expected a string."
BAD_JSON = "Invalid JSON Request"
DOCUMENTED = (
    '{"id":"4885f793-e5ad-4c3b-8f6c-55d891472b71","method":"order.place","params":{"symbol":"BTCUSDT","side":"SELL",'
    '"type":"LIMIT","timeInForce":"GTC","quantity":"0.01000000","price":"52000.00","newOrderRespType":"ACK",'
    f'"recvWindow":100,"timestamp":1645423376532,"apiKey":"{API_KEY}",'
    '"signature":"cc15477742bd704c29492d96c7ead9414dfd8e0ec4a00f947bb5bb454ddbd08a"}}'
)
PAYLOAD = (
    f"apiKey={API_KEY}&newOrderRespType=ACK&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT"
    "&timeInForce=GTC&timestamp=1645423376532&type=LIMIT"
).encode()


def test_the_documented_request_is_signed_over_its_sorted_parameters() -> None:
    request = parse(DOCUMENTED)
    assert (bytes(request.id), request.method) == (b'"4885f793-e5ad-4c3b-8f6c-55d891472b71"', "order.place")
    assert payload_of(request.values) == PAYLOAD
    assert request.signature == hmac.digest(SECRET, PAYLOAD, "sha256").hex()
    assert request.apart == 1


@pytest.mark.parametrize("sent", ["1", "-7", "9223372036854775807", '"a-Z_9"', f'"{"x" * 36}"', "null"])
def test_an_id_is_told_back_as_it_came(sent: str) -> None:
    assert bytes(parse(f'{{"id":{sent},"method":"ping"}}').id) == sent.encode()


@pytest.mark.parametrize(
    "sent", ["1.5", "1e3", "true", "[]", "{}", '""', '"a b"', '"ä"', f'"{"x" * 37}"', "12345678901234567890"]
)
def test_other_ids_are_refused(sent: str) -> None:
    with pytest.raises(BadEnvelope, match="Invalid 'id'") as raised:
        parse(f'{{"id":{sent},"method":"ping"}}')
    assert (raised.value.code, raised.value.msg, bytes(raised.value.id)) == (-1135, BAD_ID, b"null")


@pytest.mark.parametrize(
    ("frame", "msg", "told_id"),
    [
        ("", BAD_JSON, b"null"),
        ("nonsense", BAD_JSON, b"null"),
        ('{"id":1,', BAD_JSON, b"null"),
        ("[]", BAD_JSON, b"null"),
        ("1", BAD_JSON, b"null"),
        (b"\xff\xfe", BAD_JSON, b"null"),
        ("[" * 5000, BAD_JSON, b"null"),
        ('{"id":1,"method":"ping","x":"' + "a" * 70_000 + '"}', BAD_JSON, b"null"),
        ("{}", BAD_ID, b"null"),
        ('{"method":"ping"}', BAD_ID, b"null"),
        ('{"id":1}', BAD_METHOD, b"1"),
        ('{"id":"x","method":5}', BAD_METHOD, b'"x"'),
        ('{"id":1,"method":""}', BAD_METHOD, b"1"),
        ('{"id":1,"method":"ping","params":[]}', BAD_PARAMS, b"1"),
        ('{"id":1,"method":"ping","params":"x"}', BAD_PARAMS, b"1"),
        ('{"id":1,"method":"ping","params":null}', BAD_PARAMS, b"1"),
    ],
)
def test_frames_that_are_no_request(frame: str | bytes, msg: str, told_id: bytes) -> None:
    with pytest.raises(BadEnvelope) as raised:
        parse(frame)
    assert (raised.value.code, raised.value.status, raised.value.msg) == (-1135, 400, msg)
    assert bytes(raised.value.id) == told_id


def test_parameters_keep_the_text_they_were_written_with() -> None:
    request = parse(
        '{"id":1,"method":"v3/depth","params":{"a":0.0100,"b":"x","c":["A", "B"],"d":true,"e":null,"f":1E2,"g":-3}}'
    )
    assert request.method == "depth"
    assert request.values == {
        "a": "0.0100", "b": "x", "c": '["A","B"]', "d": "true", "e": "", "f": "1E2", "g": "-3",
    }  # fmt: skip


def test_whether_limits_are_told_belongs_to_the_signature() -> None:
    request = parse('{"id":1,"method":"time","params":{"returnRateLimits":false,"b":1}}')
    assert request.return_rate_limits is False
    assert payload_of(request.values) == b"b=1&returnRateLimits=false"
    assert parse('{"id":1,"method":"time","params":{"returnRateLimits":"yes"}}').return_rate_limits is None


def test_payloads_as_clients_encode_them() -> None:
    values = {"b": "1 2", "a": "ü"}
    assert payload_of(values) == "a=ü&b=1 2".encode()
    assert encoded_payload_of(values) == b"a=%C3%BC&b=1%202"


def test_a_refusal_says_when_to_come_again() -> None:
    limited = BinanceError(-1003, "Too many requests queued.", 429, retry_after_s=2.5)
    told = msgspec.json.decode(msgspec.json.encode(refusal(msgspec.Raw(b"7"), limited, 1_000, None)))
    assert told == {
        "id": 7, "status": 429,
        "error": {"code": -1003, "msg": "Too many requests queued.", "data": {"serverTime": 1000, "retryAfter": 3500}},
    }  # fmt: skip
