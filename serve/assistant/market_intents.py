"""What asks about the market or the exchange itself, by its words."""

import re
from typing import Final

from serve.assistant import arguments as a
from serve.assistant.exchange_answers import (
    analysis_calls,
    filter_calls,
    models_calls,
    prediction_calls,
    profile_calls,
    say_analysis,
    say_fees,
    say_filters,
    say_hello,
    say_help,
    say_models,
    say_order_types,
    say_prediction,
    say_profile,
    say_status,
    say_symbols,
    say_thanks,
    say_time,
    status_calls,
    symbol_calls,
    time_calls,
)
from serve.assistant.intent import Intent, no_calls, words
from serve.assistant.market_answers import (
    all_prices,
    candle_calls,
    depth_calls,
    one_symbol,
    price_calls,
    range_calls,
    say_candles,
    say_change,
    say_depth,
    say_high_low,
    say_movers,
    say_price,
    say_range,
    say_spread,
    say_trades,
    say_volatility,
    say_volume,
    spread_calls,
    trades_calls,
)
from serve.assistant.question import Question

_RANGE: Final = (
    r"\bhigh(est)?\b|\blow(est)?\b|\bmax(imum)?\b|\bmin(imum)?\b|\brange\b|\bpeak\b|\bbottom\b|"
    r"\bchang|\bmoved?\b|\brose\b|\bfell\b|\bopen(ed|ing)?\b|"
    r"\bclos(e|ed|ing)\b|\bup\b|\bdown\b|\bdrop|\bgain|perform",
    r"고가|저가|최고|최저|고점|저점|시가|종가|변동|올랐|내렸|등락|상승|하락|떨어졌|변했|움직|"
    r"범위|수익률",
)

_DAY: Final = r"^in the last (24 hours|1 day)$"


def _in_span(q: Question) -> bool:
    return q.span is not None and not re.match(_DAY, q.span.en)


INTENTS: Final[tuple[Intent, ...]] = (
    Intent(
        "hello",
        lambda q: (
            re.match(r"(hi|hello|hey|good (morning|afternoon|evening))\b[^a-z]*$", q.text)
            or re.match(r"^(안녕|반가|하이)[가-힣]{0,4}[!.~?]*$", q.tight)
        ),
        no_calls,
        say_hello,
    ),
    Intent(
        "thanks",
        lambda q: re.match(r"(thanks?|thank you|thx)\b", q.text) or re.match(r"고마|감사", q.tight),
        no_calls,
        say_thanks,
    ),
    Intent(
        "order_types",
        words(r"(order types?|types? of orders?|kinds? of orders?)", r"주문(유형|종류|타입|방식)|종류의주문"),
        symbol_calls,
        say_order_types,
    ),
    Intent("my_fees", words(r"\bfees?\b|\bcommissions?\b", r"수수료"), symbol_calls, say_fees),
    Intent(
        "filters",
        words(
            r"\bminimum\b|\bmin (order|qty|quantity|amount|notional|size)|\btick\b|\blot\b|step size|"
            r"filters?\b|max(imum)? (order|quantity|size)|order size|smallest|price increment|how (little|"
            r"small)",
            r"최소|호가단위|틱|주문단위|수량단위|필터|최대(주문|수량)",
        ),
        filter_calls,
        say_filters,
    ),
    Intent(
        "profile",
        words(r"\bprofile\b|\blatency\b|fill model", r"프로필|프로파일|지연|체결모델"),
        profile_calls,
        say_profile,
    ),
    Intent(
        "movers",
        words(
            r"gainers?|losers?|movers?|\b(top|biggest|best|worst|most|strongest|weakest)\b.*\b(gain|los|mov|"
            r"perform|rose|risen|rising|fell|fallen|falling|up|down|coins?|symbols?)|which\b.*\b(up|down|rose|"
            r"fell|gained|lost|moved)\b.*\bmost",
            r"(가장|제일|많이)(많이)?(오른|내린|상승|하락|떨어진|움직|빠진)|급등|급락|상승률(순|상위|높)|"
            r"등락률(순|상위)|하락률",
        ),
        all_prices,
        say_movers,
    ),
    Intent(
        "spread",
        words(
            r"spread|bid.?(and|/|&|-)?.?ask|best (bid|ask|offer)|\b(bid|ask) price|\bthe (bid|ask)\b|"
            r"mid.?price|\bbid\b",
            r"스프레드|호가차이|매수호가|매도호가|최우선호가|중간가",
        ),
        spread_calls,
        say_spread,
    ),
    Intent(
        "depth",
        words(
            r"order ?book|\bdepth\b|liquidity|\blevels\b|\bbids\b|\basks\b", r"호가창|호가|오더북|뎁스|매물대|유동성"
        ),
        depth_calls,
        say_depth,
    ),
    Intent(
        "models",
        words(r"\bmodels\b|(which|what) model|how (good|accurate) (is|are) the (prediction|forecast|model)", r"모델"),
        models_calls,
        say_models,
    ),
    Intent(
        "prediction",
        words(
            r"predict|forecast|going to (rise|fall|go|drop|increase)|\bwill\b.*\b(rise|fall|go|increase|drop|"
            r"be worth|happen|pump|dump|up|down)\b|outlook|where is .* (going|headed)",
            r"예측|예상(?!금액)|전망|오를까|내릴까|떨어질까|오를것|내릴것|오르나|갈까|오를지|내릴지",
        ),
        prediction_calls,
        say_prediction,
    ),
    Intent(
        "analysis",
        words(
            r"analy[sz]|indicators?\b|\brsi\b|\bmacd\b|\bsignals?\b|regime|\btrend|technical|support level|"
            r"resistance|correlat|should i (buy|sell|hold)|good time to|worth (buying|selling)|sentiment|"
            r"bullish|bearish",
            r"분석|지표|신호|시그널|추세|국면|상관|사도|살까|팔까|팔아도|매수해도|매도해도|매수할까|매도할까|"
            r"지지선|저항|rsi|macd",
        ),
        analysis_calls,
        say_analysis,
    ),
    Intent("volatility", lambda q: q.has(r"volatil", r"변동성") and q.symbol, range_calls, say_volatility),
    Intent(
        "candles",
        words(r"candles?\b|klines?\b|\bohlcv?\b|\bchart\b|\bbars?\b", r"봉|캔들|차트"),
        candle_calls,
        say_candles,
    ),
    Intent(
        "trades",
        words(
            r"\b(public|market|recent|latest|last|newest) (\w+ )?trades?\b|\btrades? (of|in|on|for)\b|"
            r"\btape\b|time and sales",
            r"시장체결|체결창|체결|공개체결",
        ),
        trades_calls,
        say_trades,
    ),
    Intent("price_range", lambda q: _in_span(q) and q.symbol and q.has(*_RANGE), range_calls, say_range),
    Intent("volume", words(r"volume|how much\b.*\btraded|turnover", r"거래량|거래대금"), price_calls, say_volume),
    Intent(
        "high_low",
        lambda q: (
            q.symbol
            and q.has(r"\bhigh(est)?\b|\blow(est)?\b|\bpeak\b|24 ?h range|day range", r"고가|저가|최고|최저|고점|저점")
        ),
        one_symbol,
        say_high_low,
    ),
    Intent(
        "change",
        lambda q: (
            (q.symbol or q.has(r"market", r"시장|코인들"))
            and q.has(
                r"\bchang|\bup\b|\bdown\b|\bmoved?\b|\brose\b|\brisen\b|\bfell\b|\bgain|\bdrop|24 ?h|perform|doing",
                r"변동|등락|올랐|내렸|떨어졌|상승|하락|변화|전일대비|수익률|올라|내려",
            )
        ),
        price_calls,
        say_change,
    ),
    Intent(
        "time",
        words(
            r"what time|market time|server time|exchange time|current time|what('s| is) the (time|date)|"
            r"date (is it|today)|\bclock\b",
            r"몇시|시간이(야|에요|뭐|어떻)|현재시각|현재시간|서버시간|시장시간|시장시각|날짜|며칠|시각",
        ),
        time_calls,
        say_time,
    ),
    Intent(
        "price",
        words(
            r"\bprices?\b|\bquotes?\b|how much (is|does|are|for|would)|\bworth\b|\bcosts?\b|\brate\b|"
            r"trading at|value of|\bgoing for\b|last trade",
            r"가격|시세|현재가|얼마|값|싯가",
        ),
        price_calls,
        say_price,
    ),
    Intent(
        "symbols",
        words(
            r"symbols?\b|\b(what|which|list|all|available|how many)\b.*\b(coins?|pairs?|markets?|instruments?|"
            r"cryptos?|assets?|tokens?)\b|what can i (trade|buy)|tradable|listed",
            r"종목|어떤코인|무슨코인|거래가능한|거래할수있는|상장|코인(목록|리스트|종류)|몇개의?코인",
        ),
        lambda _: (("symbols", a.MaybeSymbol()),),
        say_symbols,
    ),
    Intent(
        "status",
        words(
            r"\bstatus\b|\b(exchange|server|market|system|feed|everything|it)\b.*\b(ok|okay|up|working|"
            r"running|alive|healthy|open|online|down)\b|uptime|\bversion\b|healthy",
            r"상태|서버|정상|작동|버전|가동|시장이?열",
        ),
        status_calls,
        say_status,
    ),
    Intent(
        "help",
        words(
            r"\bhelp\b|what (can|do|could) (you|i)( do| ask| answer)?\b|who are you|how (do|does) (you|this|"
            r"it) work|what are you|capabilit",
            r"도움|뭐할수|뭘할수|무엇을할|할수있(어|니|나|는)|누구(야|니|세요)|사용법|기능|뭐물어|무엇을물어|"
            r"알려줄수",
        ),
        no_calls,
        say_help,
    ),
)
