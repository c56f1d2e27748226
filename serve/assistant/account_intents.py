"""Questions about the asker's own account: what is there, what was earned, what is risked."""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final

from serve.assistant import arguments as a
from serve.assistant.figures import EquityChange, Risk, Spread
from serve.assistant.intent import Call, Intent, figure, listed, needed_symbol, no_calls, words
from serve.assistant.question import Question
from serve.schema import Balance, Portfolio, Position

MILLISECOND_NS: Final = 1_000_000
_PROFIT: Final = (
    r"profit|\bearn|\b(make|made|making)\b|\bgain|\bloss(es)?\b|\blost\b|\blos(e|ing)\b|\bpnl\b|p&l|performance|\breturns?\b|doing\b|up or down",
    r"수익|이익|손실|손익|벌었|벌고|잃었|잃고|번돈|얼마벌|성과|수익률|pnl",
)


_NO_PROFIT: Final = (r"how many|\b(fees?|commissions?|orders?|executions?|fills?)\b", r"수수료|주문|체결|횟수|몇번")


def portfolio(_: Question) -> Sequence[Call]:
    return (("portfolio", a.Nothing()),)


def risk(_: Question) -> Sequence[Call]:
    return (("risk", a.Nothing()),)


# -- balances -----------------------------------------------------------------------------------------------------


def _held(balances: Sequence[Balance]) -> list[Balance]:
    return [one for one in balances if Decimal(one.free) or Decimal(one.locked)]


def _one_balance(q: Question, one: Balance) -> str:
    return q.say(
        f"{one.asset}: {one.free} free, {one.locked} locked in orders",
        f"{one.asset}: 사용 가능 {one.free}, 주문에 묶임 {one.locked}",
    )


def say_balance(q: Question, results: Sequence[Any]) -> str:
    found: Portfolio = results[0]
    wanted = q.found.assets
    if not wanted:
        parts = [_one_balance(q, one) for one in _held(found.balances)]
        return q.say("Your balances: ", "내 잔고: ") + listed(parts, q, "nothing", "없음") + "."
    known = {one.asset: one for one in found.balances}
    parts = [
        _one_balance(q, known[asset]) if asset in known else q.say(f"{asset}: none", f"{asset}: 없음")
        for asset in wanted
    ]
    return q.say("Your balance: ", "내 잔고: ") + "; ".join(parts) + "."


def buying_power_calls(q: Question) -> Sequence[Call]:
    if q.symbol is None:
        return portfolio(q)
    return (
        ("portfolio", a.Nothing()),
        ("spread", a.OneSymbol(symbol=q.symbol)),
        ("symbols", a.MaybeSymbol(symbol=q.symbol)),
    )


def say_buying_power(q: Question, results: Sequence[Any]) -> str:
    found: Portfolio = results[0]
    if len(results) == 1:
        free = next((one.free for one in found.balances if one.asset == found.reference_asset), "0")
        return q.say(
            f"You can spend {free} {found.reference_asset}.",
            f"사용할 수 있는 금액은 {free} {found.reference_asset}입니다.",
        )
    spread: Spread = results[1]
    info = results[2].symbols[0]
    free = next((one.free for one in found.balances if one.asset == info.quote_asset), "0")
    if spread.ask is None:
        return q.say("Nobody offers any of it now.", "지금은 매도 호가가 없습니다.")
    lot = Decimal(info.lot_size)
    most = format((Decimal(free) / Decimal(spread.ask) / lot).to_integral_value(ROUND_FLOOR) * lot, "f")
    return q.say(
        f"With {free} {info.quote_asset} free and the best ask at {spread.ask}, about {most} {info.base_asset}.",
        f"사용 가능한 {free} {info.quote_asset}와 최우선 매도호가 {spread.ask} 기준으로 약 {most} {info.base_asset}를 살 수 있습니다.",
    )


def say_equity(q: Question, results: Sequence[Any]) -> str:
    found: Portfolio = results[0]
    if found.equity is None:
        return q.say(
            "Your equity is not known now: an asset has no price.",
            "지금은 가격이 없는 자산이 있어 총자산을 알 수 없습니다.",
        )
    return q.say(
        f"Your equity is {found.equity} {found.reference_asset}.",
        f"총자산은 {found.equity} {found.reference_asset}입니다.",
    )


# -- positions and profit -----------------------------------------------------------------------------------------


def _positions(q: Question, found: Portfolio) -> list[Position]:
    wanted = q.found.symbols
    return [one for one in found.positions if (one.symbol in wanted if wanted else Decimal(one.quantity))]


def say_positions(q: Question, results: Sequence[Any]) -> str:
    parts = [
        q.say(
            f"{one.symbol}: {one.quantity} at an average of {one.average_price}, value {one.value}, "
            f"unrealised profit {one.unrealised_profit}",
            f"{one.symbol}: {one.quantity}개, 평균단가 {one.average_price}, 평가금액 {one.value}, 미실현 손익 {one.unrealised_profit}",
        )
        for one in _positions(q, results[0])
    ]
    head = q.say("Your positions: ", "보유 포지션: ")
    return head + listed(parts, q, "none", "없음") + "."


def say_average(q: Question, results: Sequence[Any]) -> str:
    parts = [
        q.say(f"{one.symbol}: {one.average_price}", f"{one.symbol}: {one.average_price}")
        for one in _positions(q, results[0])
        if one.average_price is not None
    ]
    head = q.say("Your average purchase price: ", "평균 매수단가: ")
    return head + listed(parts, q, "you hold none of it", "보유하고 있지 않습니다") + "."


def say_profit(q: Question, results: Sequence[Any]) -> str:
    found: Portfolio = results[0]
    if q.found.symbols:
        parts = [
            q.say(
                f"{one.symbol}: realised {one.realised_profit}, unrealised {one.unrealised_profit}",
                f"{one.symbol}: 실현 손익 {one.realised_profit}, 미실현 손익 {one.unrealised_profit}",
            )
            for one in found.positions
            if one.symbol in q.found.symbols
        ]
        return q.say("Your profit: ", "손익: ") + listed(parts, q, "you never traded it", "거래한 적이 없습니다") + "."
    unrealised = found.unrealised_profit or q.say("unknown", "알 수 없음")
    return q.say(
        f"Realised profit {found.realised_profit}, unrealised {unrealised} {found.reference_asset}.",
        f"실현 손익 {found.realised_profit}, 미실현 손익 {unrealised} {found.reference_asset}입니다.",
    )


def change_calls(q: Question) -> Sequence[Call]:
    assert q.span is not None
    to_ms = q.span.to_ns // MILLISECOND_NS if q.span.to_ns < q.now_ns else None
    return (("equity_change", a.Since(from_ms=q.span.from_ns // MILLISECOND_NS, to_ms=to_ms)),)


def say_change(q: Question, results: Sequence[Any]) -> str:
    found: EquityChange = results[0]
    assert q.span is not None
    if found.change is None:
        return q.say(f"Your equity {q.span.en} is not known.", f"{q.span.ko} 자산 기록이 없습니다.")
    return q.say(
        f"Your equity {q.span.en} changed by {found.change} {found.asset} ({figure(found.change_percent)} %): "
        f"from {found.before} to {found.after}.",
        f"{q.span.ko} 자산 변동은 {found.change} {found.asset} ({figure(found.change_percent)} %)입니다: "
        f"{found.before}에서 {found.after}.",
    )


def say_best(q: Question, results: Sequence[Any]) -> str:
    found: Portfolio = results[0]
    ranked = [
        (Decimal(one.realised_profit) + Decimal(one.unrealised_profit), one)
        for one in found.positions
        if one.unrealised_profit is not None
    ]
    if not ranked:
        return q.say("You have no positions.", "포지션이 없습니다.")
    worst = q.has(r"worst|lost|loss|losing|least", r"최악|손실|잃|나쁜|안좋은")
    _, one = (min if worst else max)(ranked, key=lambda pair: pair[0])
    return q.say(
        f"{one.symbol}: realised profit {one.realised_profit}, unrealised {one.unrealised_profit}.",
        f"{one.symbol}입니다: 실현 손익 {one.realised_profit}, 미실현 손익 {one.unrealised_profit}.",
    )


def say_allocation(q: Question, results: Sequence[Any]) -> str:
    found: Portfolio = results[0]
    parts = [f"{one.asset} {figure(one.share)}" for one in _held(found.balances) if one.share is not None]
    head = q.say("Shares of your portfolio (1 is all of it): ", "포트폴리오 비중 (1이 전체): ")
    return head + listed(parts, q, "nothing", "없음") + "."


# -- risk ---------------------------------------------------------------------------------------------------------


def say_exposure(q: Question, results: Sequence[Any]) -> str:
    found: Risk = results[0]
    return q.say(
        f"Your exposure is {found.exposure} {found.asset}, {figure(found.exposure_share)} of your equity; cash {found.cash}.",
        f"노출 금액은 {found.exposure} {found.asset}, 총자산의 {figure(found.exposure_share)}입니다. 현금은 {found.cash}입니다.",
    )


def say_concentration(q: Question, results: Sequence[Any]) -> str:
    found: Risk = results[0]
    if found.largest_holding is None:
        return q.say("You hold nothing but cash.", "현금 외에 보유한 자산이 없습니다.")
    return q.say(
        f"Concentration (Herfindahl, 1 is a single coin): {figure(found.concentration)}. Largest holding: "
        f"{found.largest_holding}, {figure(found.largest_share)} of your equity.",
        f"집중도(허핀달, 1이면 한 종목)는 {figure(found.concentration)}입니다. 최대 보유는 {found.largest_holding}, "
        f"총자산의 {figure(found.largest_share)}입니다.",
    )


def say_largest(q: Question, results: Sequence[Any]) -> str:
    found: Risk = results[0]
    if found.largest_holding is None:
        return q.say("You hold nothing but cash.", "현금 외에 보유한 자산이 없습니다.")
    return q.say(
        f"Your largest holding is {found.largest_holding}: {found.largest_value} {found.asset}, "
        f"{figure(found.largest_share)} of your equity.",
        f"가장 큰 보유 자산은 {found.largest_holding}입니다: {found.largest_value} {found.asset}, 총자산의 {figure(found.largest_share)}.",
    )


def say_drawdown(q: Question, results: Sequence[Any]) -> str:
    found: Risk = results[0]
    if found.max_drawdown_percent is None:
        return q.say("Your equity of the last day is not known yet.", "최근 하루의 자산 기록이 아직 없습니다.")
    return q.say(
        f"Your largest drawdown in the last day is {figure(found.max_drawdown_percent)} % ({found.minutes} minutes known).",
        f"최근 하루 최대 낙폭은 {figure(found.max_drawdown_percent)} %입니다 (기록 {found.minutes}분).",
    )


def say_volatility(q: Question, results: Sequence[Any]) -> str:
    found: Risk = results[0]
    if found.volatility_percent is None:
        return q.say("Your equity is not known long enough for it yet.", "변동성을 계산할 자산 기록이 아직 부족합니다.")
    return q.say(
        f"The volatility of your equity is {figure(found.volatility_percent)} % a day ({found.minutes} minutes known).",
        f"내 자산의 변동성은 하루 {figure(found.volatility_percent)} %입니다 (기록 {found.minutes}분).",
    )


def say_risk(q: Question, results: Sequence[Any]) -> str:
    if results[0].largest_holding is None:
        return say_exposure(q, results)
    return " ".join(say(q, results) for say in (say_exposure, say_concentration, say_drawdown))


def say_whoami(q: Question, results: Sequence[Any]) -> str:
    one = results[0]
    return q.say(
        f"You are {one.username}; your role is {one.role}.", f"{one.username} 님이고, 역할은 {one.role}입니다."
    )


def say_paused(q: Question, results: Sequence[Any]) -> str:
    if results[0].paused:
        return q.say(
            "Trading is paused for your account; POST /api/v1/trading/control resumes it.",
            "이 계정의 거래는 일시정지 상태입니다. POST /api/v1/trading/control로 재개합니다.",
        )
    return q.say("Trading is not paused for your account.", "이 계정의 거래는 정지되어 있지 않습니다.")


def say_foreign(q: Question, _: Sequence[Any]) -> str:
    return q.say(
        "I see your own account only, nobody else's.",
        "본인 계정만 볼 수 있습니다. 다른 사용자의 계정은 볼 수 없습니다.",
    )


_SOMEBODY: Final = (
    r"\b(users?|accounts?|uid|traders?|customers?|clients?|members?)[ _]*(id|no\.?|number)?[ :#=]*\d+|"
    r"\b(other|another|someone else|somebody|everyone|everybody|all)('s|s)?( of the)? ?(users?|accounts?|peoples?|traders?|customers?)\b|"
    r"\b(someone|somebody|everyone|everybody|anyone)( else)?'?s (balance|order|account|position|portfolio|profit|holding|fill|trade)|"
    r"\b(?!(it|what|that|who|here|let|there|today|yesterday|hour|day|week|month|year|morning|night|how|where|when|one|btc|eth|bitcoin|ethereum|market|exchange|account)'s)"
    r"[a-z][a-z0-9_.-]*'s (\w+ )?(balances?|orders?|account|positions?|portfolio|profit|holdings?|fills?|trades?|money|equity)\b|"
    r"\b(his|her|their) (balances?|orders?|account|positions?|portfolio|profit|holdings?|money|equity)\b|"
    r"\b(balances?|orders?|account|positions?|portfolio|holdings?|money) of (user|account|alice|bob|admin|\w+-[0-9a-f]{4,})",
    r"(사용자|유저|계정|회원|고객|계좌)(번호)?[:#]?\d+|\d+번(째)?(사용자|유저|계정|회원|고객|계좌)|(다른|남의|타인|모든|전체|옆)(사람|사용자|유저|계정|회원|고객|계좌)|"
    r"(다른사람|남|타인|친구|그사람|관리자|모두)(의|들의)(잔고|주문|계정|자산|포지션|수익)",
)
"""Somebody else's account."""

WHOSE: Final = Intent("somebody_else", words(*_SOMEBODY), no_calls, say_foreign)

INTENTS: Final[tuple[Intent, ...]] = (
    Intent("buying_power", words(r"how (much|many)\b.*\b(can|could) i (buy|afford|purchase)|buying power|\bafford\b|can i spend", r"살수있|매수가능|구매가능|매수여력|구매력|쓸수있는(돈|금액)"), buying_power_calls, say_buying_power),
    Intent("average_price", words(r"average (purchase |buy |buying |entry )?(price|cost|entry)|entry price|cost basis|break.?even|avg price", r"평단|평균단가|평균매수|매수평균|매입단가|본전"), portfolio, say_average),
    Intent("largest_holding", words(r"(largest|biggest|main|top) (holding|position|asset|coin|part|investment|share)|(hold|own|have|holding) (the )?most( of)?", r"(가장|제일)(많이|큰)(보유|가진|가지|비중|들고|자산|종목|포지션|투자|갖고)|최대보유|비중이?(가장|제일)"), risk, say_largest),
    Intent("best_position", words(r"(which|best|worst|top|most)\b.*\b(coin|position|holding|asset)s?\b.*(profit|gain|loss|lost|earn|made|perform)|(best|worst)[ -](performing )?(position|holding|asset)|(most|least) profitable", r"(제일|가장|최고|최악|어떤|어느).*(수익|손실|이익|벌|잃).*(종목|코인|포지션)?"), portfolio, say_best),
    Intent("allocation", words(r"allocat|weights?\b|percentage of my|breakdown|composition|split of my", r"비중|배분|구성|자산비율|포트폴리오비율"), portfolio, say_allocation),
    Intent("concentration", words(r"concentrat|diversif|herfindahl", r"집중|분산|쏠림|몰려"), risk, say_concentration),
    Intent("drawdown", words(r"draw ?down|peak to", r"낙폭|드로다운|드로우다운|mdd"), risk, say_drawdown),
    Intent("exposure", words(r"exposure|exposed|(am i|have i) invested|at risk", r"노출|익스포|투자(된|한|하고있는)(금액|돈|비율)"), risk, say_exposure),
    Intent("own_volatility", lambda q: q.has(r"volatil", r"변동성") and not q.symbol, risk, say_volatility),
    Intent("risk", words(r"\brisks?\b|\brisky\b", r"위험|리스크"), risk, say_risk),
    Intent("equity_change", lambda q: q.span is not None and not q.symbol and q.has(*_PROFIT) and not q.has(*_NO_PROFIT), change_calls, say_change),
    Intent("equity", words(r"\bequity\b|net worth|total (value|assets|worth|balance)|(portfolio|account)('s)? (value|worth)|(value|worth) of my|am i worth|portfolio worth|account worth", r"총자산|총평가|자산총액|평가금액|평가액|순자산|전재산|자산이?(얼마|총)|포트폴리오가치|총잔고|총액"), portfolio, say_equity),
    Intent("profit", lambda q: not q.has(*_NO_PROFIT) and q.has(r"\bpnl\b|p&l|profit|(have|did|do) i (earn|made|make|gain|los[et])|am i (up|down|winning|losing)|my (gains?|loss(es)?|returns?|performance)|reali[sz]ed|money (made|lost)", r"수익|이익|손실|손익|벌었|벌고|잃었|번돈|얼마벌|성과|pnl"), portfolio, say_profit),
    Intent("whoami", words(r"who am i|my (user ?name|role|account name)|logged in as", r"내(이름|아이디|권한|역할|계정이름|계정정보)|나는누구|내가누구|누구로로그인"), lambda _: (("whoami", a.Nothing()),), say_whoami),
    Intent("paused", words(r"paused|am i allowed to trade|is (my )?trading (enabled|allowed|stopped|paused)", r"일시정지|거래(가)?(정지|중지)"), portfolio, say_paused),
)  # fmt: skip

HOLDINGS: Final[tuple[Intent, ...]] = (
    Intent("positions", words(r"\bpositions?\b|\bholdings?\b|\bportfolio\b|my coins|\b(coins?|assets?|crypto)\b.*\b(do i|am i|i) (own|hold|have|holding)|what (do i|am i) (own|hold|holding)", r"포지션|보유(중|한|하고|종목|코인|자산|현황|내역|하는)|포트폴리오|가진(코인|종목|자산)|들고있는|내코인"), portfolio, say_positions),
    Intent("balance", lambda q: words(r"balances?\b|how (much|many)\b.*\b(do i|have i|i) (have|own|hold|got|left)|have i got|how (much|many)\b.*(left|available|free)\b|(my|free|available|locked) (cash|money|funds|usdt|btc|eth|coins?|assets?)|do i have any|\bmy (cash|money|wallet|funds)", r"잔고|잔액|얼마(나)?(있|남|갖|가지|보유|들고)|예수금|보유량|몇개(있|나있|가지|갖|남|보유|들)|사용가능|현금|자금|지갑|돈이?(얼마|있|남)")(q) or (q.found.assets and q.has(r"(?!)", r"(있|가지고있|갖고있)(어|나|니|습니까|나요)")), portfolio, say_balance),
)  # fmt: skip
"""Asked after orders: `open positions` is one of these, `open orders` is not."""

__all__ = ["HOLDINGS", "INTENTS", "WHOSE", "needed_symbol"]
