"""The API's errors in Korean. What stands behind the colon is the API's own word, with its figures."""

from typing import Final

from serve.assistant.schema import ToolError

_TEXTS: Final = {
    "UNKNOWN_SYMBOL": "여기서 거래되지 않는 종목입니다",
    "UNKNOWN_ORDER": "그런 주문이 없습니다",
    "UNKNOWN_ACCOUNT": "거래 계정이 없습니다",
    "INSUFFICIENT_BALANCE": "잔고가 부족합니다",
    "LOT_SIZE": "수량이 종목의 범위나 단위에 맞지 않습니다",
    "MARKET_LOT_SIZE": "시장가 주문의 수량 범위에 맞지 않습니다",
    "PRICE_FILTER": "가격이 종목의 범위나 호가 단위에 맞지 않습니다",
    "NOTIONAL": "주문 금액이 종목의 범위에 맞지 않습니다",
    "FORBIDDEN": "이 역할로는 할 수 없습니다",
    "ACCOUNT_PAUSED": "이 계정의 거래가 일시정지되어 있습니다",
    "MARKET_DATA_UNAVAILABLE": "지금은 시세가 없습니다",
    "UNAVAILABLE": "지금은 이용할 수 없습니다",
    "PREDICTOR_UNAVAILABLE": "지금은 예측을 이용할 수 없습니다",
    "NO_MODEL": "예측 모델이 없습니다",
    "VALIDATION": "값이 올바르지 않습니다",
    "DUPLICATE_CLIENT_ORDER_ID": "같은 client_order_id의 주문이 이미 있습니다",
    "WOULD_TAKE": "즉시 체결될 주문이라 거부되었습니다",
    "STOP_WOULD_TRIGGER": "현재가가 이미 스탑 가격에 닿았습니다",
    "MAX_NUM_ORDERS": "미체결 주문이 허용된 수만큼 있습니다",
    "BOOK_UNAVAILABLE": "지금은 호가창이 응답하지 않습니다",
    "STATUS_UNKNOWN": "실행되었는지 알 수 없습니다",
    "OVERLOADED": "지금은 요청이 너무 많습니다",
    "PERCENT_PRICE_BY_SIDE": "가격이 최근 시세에서 너무 멉니다",
    "ORDER_PENDING": "주문이 아직 처리 중입니다",
}


def in_korean(error: ToolError) -> str:
    return f"{_TEXTS.get(error.code, '요청이 거부되었습니다')} ({error.code}): {error.detail}"
