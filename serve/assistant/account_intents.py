"""What asks about one's own account, by its words."""

from typing import Final

from serve.assistant import arguments as a
from serve.assistant.account_answers import (
    buying_power_calls,
    change_calls,
    portfolio,
    risk,
    say_allocation,
    say_average,
    say_balance,
    say_best,
    say_buying_power,
    say_change,
    say_concentration,
    say_drawdown,
    say_equity,
    say_exposure,
    say_foreign,
    say_largest,
    say_paused,
    say_positions,
    say_profit,
    say_risk,
    say_volatility,
    say_whoami,
)
from serve.assistant.intent import Intent, no_calls, words

_PROFIT: Final = (
    r"profit|\bearn|\b(make|made|making)\b|\bgain|\bloss(es)?\b|\blost\b|\blos(e|ing)\b|\bpnl\b|p&l|"
    r"performance|\breturns?\b|doing\b|up or down",
    r"수익|이익|손실|손익|벌었|벌고|잃었|잃고|번돈|얼마벌|성과|수익률|pnl",
)


_NO_PROFIT: Final = (r"how many|\b(fees?|commissions?|orders?|executions?|fills?)\b", r"수수료|주문|체결|횟수|몇번")


_SOMEBODY: Final = (
    r"\b(users?|accounts?|uid|traders?|customers?|clients?|members?)[ _]*(id|no\.?|number)?[ :#=]*\d+|"
    r"\b(other|another|someone else|somebody|everyone|everybody|all)('s|s)?( of the)? ?(users?|"
    r"accounts?|peoples?|traders?|customers?)\b|"
    r"\b(someone|somebody|everyone|everybody|anyone)( else)?'?s (balance|order|account|position|"
    r"portfolio|profit|holding|fill|trade)|"
    r"\b(?!(it|what|that|who|here|let|there|today|yesterday|hour|day|week|month|year|morning|night|"
    r"how|where|when|one|btc|eth|bitcoin|ethereum|market|exchange|account)'s)"
    r"[a-z][a-z0-9_.-]*'s (\w+ )?(balances?|orders?|account|positions?|portfolio|profit|holdings?|"
    r"fills?|trades?|money|equity)\b|"
    r"\b(his|her|their) (balances?|orders?|account|positions?|portfolio|profit|holdings?|money|equity)\b|"
    r"\b(balances?|orders?|account|positions?|portfolio|holdings?|money) of (user|account|alice|bob|"
    r"admin|\w+-[0-9a-f]{4,})",
    r"(사용자|유저|계정|회원|고객|계좌)(번호)?[:#]?\d+|\d+번(째)?(사용자|유저|계정|회원|고객|계좌)|"
    r"(다른|남의|타인|모든|전체|옆)(사람|사용자|유저|계정|회원|고객|계좌)|"
    r"(다른사람|남|타인|친구|그사람|관리자|모두)(의|들의)(잔고|주문|계정|자산|포지션|수익)",
)
"""Somebody else's account."""

WHOSE: Final = Intent("somebody_else", words(*_SOMEBODY), no_calls, say_foreign)

INTENTS: Final[tuple[Intent, ...]] = (
    Intent(
        "buying_power",
        words(
            r"how (much|many)\b.*\b(can|could) i (buy|afford|purchase)|buying power|\bafford\b|can i spend",
            r"살수있|매수가능|구매가능|매수여력|구매력|쓸수있는(돈|금액)",
        ),
        buying_power_calls,
        say_buying_power,
    ),
    Intent(
        "average_price",
        words(
            r"average (purchase |buy |buying |entry )?(price|cost|entry)|entry price|cost basis|break.?even|"
            r"avg price",
            r"평단|평균단가|평균매수|매수평균|매입단가|본전",
        ),
        portfolio,
        say_average,
    ),
    Intent(
        "largest_holding",
        words(
            r"(largest|biggest|main|top) (holding|position|asset|coin|part|investment|share)|(hold|own|have|"
            r"holding) (the )?most( of)?",
            r"(가장|제일)(많이|큰)(보유|가진|가지|비중|들고|자산|종목|포지션|투자|갖고)|최대보유|비중이?(가장|제일)",
        ),
        risk,
        say_largest,
    ),
    Intent(
        "best_position",
        words(
            r"(which|best|worst|top|most)\b.*\b(coin|position|holding|asset)s?\b.*(profit|gain|loss|lost|earn|"
            r"made|perform)|(best|worst)[ -](performing )?(position|holding|asset)|(most|least) profitable",
            r"(제일|가장|최고|최악|어떤|어느).*(수익|손실|이익|벌|잃).*(종목|코인|포지션)?",
        ),
        portfolio,
        say_best,
    ),
    Intent(
        "allocation",
        words(
            r"allocat|weights?\b|percentage of my|breakdown|composition|split of my",
            r"비중|배분|구성|자산비율|포트폴리오비율",
        ),
        portfolio,
        say_allocation,
    ),
    Intent("concentration", words(r"concentrat|diversif|herfindahl", r"집중|분산|쏠림|몰려"), risk, say_concentration),
    Intent("drawdown", words(r"draw ?down|peak to", r"낙폭|드로다운|드로우다운|mdd"), risk, say_drawdown),
    Intent(
        "exposure",
        words(r"exposure|exposed|(am i|have i) invested|at risk", r"노출|익스포|투자(된|한|하고있는)(금액|돈|비율)"),
        risk,
        say_exposure,
    ),
    Intent("own_volatility", lambda q: q.has(r"volatil", r"변동성") and not q.symbol, risk, say_volatility),
    Intent("risk", words(r"\brisks?\b|\brisky\b", r"위험|리스크"), risk, say_risk),
    Intent(
        "equity_change",
        lambda q: q.span is not None and not q.symbol and q.has(*_PROFIT) and not q.has(*_NO_PROFIT),
        change_calls,
        say_change,
    ),
    Intent(
        "equity",
        words(
            r"\bequity\b|net worth|total (value|assets|worth|balance)|(portfolio|account)('s)? (value|worth)|"
            r"(value|worth) of my|am i worth|portfolio worth|account worth",
            r"총자산|총평가|자산총액|평가금액|평가액|순자산|전재산|자산이?(얼마|총)|포트폴리오가치|총잔고|총액",
        ),
        portfolio,
        say_equity,
    ),
    Intent(
        "profit",
        lambda q: (
            not q.has(*_NO_PROFIT)
            and q.has(
                r"\bpnl\b|p&l|profit|(have|did|do) i (earn|made|make|gain|los[et])|am i (up|down|winning|losing)|"
                r"my (gains?|loss(es)?|returns?|performance)|reali[sz]ed|money (made|lost)",
                r"수익|이익|손실|손익|벌었|벌고|잃었|번돈|얼마벌|성과|pnl",
            )
        ),
        portfolio,
        say_profit,
    ),
    Intent(
        "whoami",
        words(
            r"who am i|my (user ?name|role|account name)|logged in as",
            r"내(이름|아이디|권한|역할|계정이름|계정정보)|나는누구|내가누구|누구로로그인",
        ),
        lambda _: (("whoami", a.Nothing()),),
        say_whoami,
    ),
    Intent(
        "paused",
        words(
            r"paused|am i allowed to trade|is (my )?trading (enabled|allowed|stopped|paused)",
            r"일시정지|거래(가)?(정지|중지)",
        ),
        portfolio,
        say_paused,
    ),
)

HOLDINGS: Final[tuple[Intent, ...]] = (
    Intent(
        "positions",
        words(
            r"\bpositions?\b|\bholdings?\b|\bportfolio\b|my coins|\b(coins?|assets?|crypto)\b.*\b(do i|am i|"
            r"i) (own|hold|have|holding)|what (do i|am i) (own|hold|holding)",
            r"포지션|보유(중|한|하고|종목|코인|자산|현황|내역|하는)|포트폴리오|가진(코인|종목|자산)|들고있는|내코인",
        ),
        portfolio,
        say_positions,
    ),
    Intent(
        "balance",
        lambda q: (
            words(
                r"balances?\b|how (much|many)\b.*\b(do i|have i|i) (have|own|hold|got|left)|have i got|how (much|"
                r"many)\b.*(left|available|free)\b|(my|free|available|locked) (cash|money|funds|usdt|btc|eth|"
                r"coins?|assets?)|do i have any|\bmy (cash|money|wallet|funds)",
                r"잔고|잔액|얼마(나)?(있|남|갖|가지|보유|들고)|예수금|보유량|몇개(있|나있|가지|갖|남|보유|들)|"
                r"사용가능|현금|자금|지갑|돈이?(얼마|있|남)",
            )(q)
            or (q.found.assets and q.has(r"(?!)", r"(있|가지고있|갖고있)(어|나|니|습니까|나요)"))
        ),
        portfolio,
        say_balance,
    ),
)
"""Asked after orders: `open positions` is one of these, `open orders` is not."""
