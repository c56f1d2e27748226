"""The ledger's compiled functions: admit commands (reserve), settle a batch of book events (postings).

Pure: arrays in, arrays out. Integers only; a product that could leave 62 bits is refused before it is formed.
"""

# numba compiles these functions from their bytecode: `while` loops and plain indexing are what it is fastest with.
import numpy as np
from numba import njit

from market.ledger.layout import (
    H_FREE,
    H_LIVE,
    H_NEXT_ORDER,
    H_PARTITION,
    H_PARTITIONS,
    I_AVAILABLE,
    I_BASE,
    I_BASE_PER_LOT,
    I_LAST,
    I_MAX_NUM_ORDERS,
    I_QUOTE,
    I_QUOTE_PER_TICK_LOT,
    MARKET_BUDGET_PERCENT,
    O_BORROW,
    O_CID,
    O_CREATED,
    O_CUM,
    O_CUM_QUOTE,
    O_ID,
    O_LEAVES,
    O_META,
    O_NEXT,
    O_ORIG,
    O_PREV,
    O_PRICE,
    O_QTY,
    O_RESERVED,
    O_ROW,
    O_SYMBOL,
    P_COST,
    P_QTY,
    P_REALISED,
    R_HEAD,
    R_MAKER_FEE,
    R_OPEN,
    R_OPEN_ORDERS,
    R_PAUSED,
    R_SEQ,
    R_STATE,
    R_TAKER_FEE,
    ROW_CLEARING,
    ROW_FEES,
)

LIMIT = float(1 << 62)
CMD_CID = 11  # word of COMMAND.client_order_id
REP_CID = 25  # word of REPORT.client_order_id
STATUS_SHIFT = 40

NEW, CANCEL, REPLACE, AMEND, CANCEL_ALL = 0, 1, 2, 3, 4
ACCEPTED, REJECTED, TRADE, CANCELED, EXPIRED, AMENDED, DECREMENTED = 0, 1, 2, 3, 4, 5, 6
BUY, MARKET, BY_QUOTE, BY_CLIENT_ORDER_ID = 0, 1, 1, 2
S_PENDING, S_NEW, S_PARTIAL, S_FILLED, S_CANCELED, S_REJECTED, S_EXPIRED, S_EXPIRED_IN_MATCH = range(8)
X_NEW, X_REJECTED, X_TRADE, X_CANCELED, X_EXPIRED, X_REPLACED, X_PREVENTION, X_BALANCE, X_CANCEL_REJECTED = (
    range(9)
)
(
    UNKNOWN_ACCOUNT,
    ACCOUNT_PAUSED,
    UNKNOWN_SYMBOL,
    DUPLICATE_CLIENT_ORDER_ID,
    MAX_NUM_ORDERS,
    INSUFFICIENT_BALANCE,
    ORDER_PENDING,
    BOOK_UNAVAILABLE,
) = range(1, 9)
INVALID_COMMAND, UNKNOWN_ORDER, LOT_SIZE, NOTIONAL = 21, 22, 24, 26
QUOTE_SPENT, STP, NEVER_ACCEPTED = 46, 47, 48
MAKER_FLAG = 128


# -- hash tables: open addressing, linear probing, backward-shift deletion --------------------------------------


@njit(inline="always")
def mix(key):
    x = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((x ^ (x >> np.uint64(29))) >> np.uint64(20))


@njit(cache=True)
def find_id(ids, orders, order_id):
    """Slot of an open order by id, 0: none."""
    mask = len(ids) - 1
    i = mix(order_id) & mask
    while ids[i] != 0:
        if orders[ids[i], O_ID] == order_id:
            return ids[i]
        i = (i + 1) & mask
    return 0


@njit(inline="always")
def cid_hash(row, w, at):
    h = np.uint64(row) * np.uint64(0xD6E8FEB86659FD93)
    for k in range(5):
        h = (h ^ np.uint64(w[at + k])) * np.uint64(0xFF51AFD7ED558CCD)
        h ^= h >> np.uint64(32)
    return np.int64(h >> np.uint64(8))


@njit(cache=True)
def find_cid(cids, orders, row, words, at):
    """Slot of an account's open order by client order id (five words from `at`), 0: none."""
    mask = len(cids) - 1
    i = cid_hash(row, words, at) & mask
    while cids[i] != 0:
        s = cids[i]
        if orders[s, O_ROW] == row:
            same = True
            for k in range(5):
                if orders[s, O_CID + k] != words[at + k]:
                    same = False
                    break
            if same:
                return s
        i = (i + 1) & mask
    return 0


@njit(inline="always")
def table_put(table, home, slot):
    mask = len(table) - 1
    i = home & mask
    while table[i] != 0:
        i = (i + 1) & mask
    table[i] = slot


@njit(cache=True)
def table_drop_id(ids, orders, slot):
    mask = len(ids) - 1
    i = mix(orders[slot, O_ID]) & mask
    while ids[i] != slot:
        i = (i + 1) & mask
    j = i
    while True:
        j = (j + 1) & mask
        if ids[j] == 0:
            break
        home = mix(orders[ids[j], O_ID]) & mask
        if ((j - home) & mask) >= ((j - i) & mask):
            ids[i] = ids[j]
            i = j
    ids[i] = 0


@njit(cache=True)
def table_drop_cid(cids, orders, slot):
    mask = len(cids) - 1
    i = cid_hash(orders[slot, O_ROW], orders[slot], O_CID) & mask
    while cids[i] != slot:
        i = (i + 1) & mask
    j = i
    while True:
        j = (j + 1) & mask
        if cids[j] == 0:
            break
        home = cid_hash(orders[cids[j], O_ROW], orders[cids[j]], O_CID) & mask
        if ((j - home) & mask) >= ((j - i) & mask):
            cids[i] = cids[j]
            i = j
    cids[i] = 0


# -- open orders ------------------------------------------------------------------------------------------------


@njit(cache=True)
def insert(header, rows, counts, orders, ids, cids, c, w, row, reserved, borrow, ts, status):
    """Put a command's order into the tables; the caller has moved `reserved` from free to locked."""
    s = header[H_FREE]
    header[H_FREE] = orders[s, O_NEXT]
    header[H_LIVE] += 1
    o = orders[s]
    o[O_ID] = c.order_id
    o[O_ROW] = row
    o[O_SYMBOL] = c.symbol
    tif = np.int64(c.time_in_force) if c.ord_type == 0 else np.int64(0)
    o[O_META] = (
        np.int64(c.side)
        | np.int64(c.ord_type) << 8
        | tif << 16
        | np.int64(c.stp_mode) << 24
        | np.int64(c.flags) << 32
        | np.int64(status) << STATUS_SHIFT
    )
    o[O_PRICE] = 0 if c.ord_type == MARKET else c.price_ticks
    o[O_QTY] = c.qty_lots
    o[O_LEAVES] = c.qty_lots
    o[O_CUM] = 0
    o[O_CUM_QUOTE] = 0
    o[O_RESERVED] = reserved
    o[O_BORROW] = borrow
    o[O_CREATED] = ts
    o[O_ORIG] = c.target_id if c.kind == REPLACE else 0
    for k in range(5):
        o[O_CID + k] = w[CMD_CID + k]
    head = rows[row, R_HEAD]
    o[O_NEXT] = head
    o[O_PREV] = 0
    if head:
        orders[head, O_PREV] = s
    rows[row, R_HEAD] = s
    rows[row, R_OPEN_ORDERS] += 1
    counts[row, c.symbol] += 1
    table_put(ids, mix(c.order_id), s)
    if o[O_CID]:
        table_put(cids, cid_hash(row, o, O_CID), s)
    return s


@njit(cache=True)
def remove(header, rows, counts, orders, ids, cids, balances, instruments, s):
    """Take an order out of the tables and unlock what it still reserves."""
    o = orders[s]
    row = o[O_ROW]
    symbol = o[O_SYMBOL]
    asset = instruments[symbol, I_QUOTE] if (o[O_META] & 255) == BUY else instruments[symbol, I_BASE]
    balances[row, asset, 1] -= o[O_RESERVED]
    balances[row, asset, 0] += o[O_RESERVED]
    o[O_RESERVED] = 0
    table_drop_id(ids, orders, s)
    if o[O_CID]:
        table_drop_cid(cids, orders, s)
    a = o[O_PREV]
    b = o[O_NEXT]
    if a:
        orders[a, O_NEXT] = b
    else:
        rows[row, R_HEAD] = b
    if b:
        orders[b, O_PREV] = a
    rows[row, R_OPEN_ORDERS] -= 1
    counts[row, symbol] -= 1
    header[H_LIVE] -= 1
    o[O_ID] = 0
    o[O_PREV] = 0
    o[O_NEXT] = header[H_FREE]
    header[H_FREE] = s


# -- admission --------------------------------------------------------------------------------------------------


@njit(inline="always")
def too_large(a, b, c):
    return float(a) * float(b) * float(c) >= LIMIT


@njit(cache=True)
def need_of(c, i, free):
    """(units to reserve, reason) of a NEW or REPLACE; completes the budget or cap of a market order in place."""
    q = i[I_QUOTE_PER_TICK_LOT]
    lot = i[I_BASE_PER_LOT]
    if c.price_ticks < 0 or c.qty_lots < 0 or c.quote_units < 0:
        return np.int64(0), INVALID_COMMAND
    if too_large(c.qty_lots, lot, 1):
        return np.int64(0), LOT_SIZE
    if c.ord_type != MARKET:
        if too_large(c.price_ticks, c.qty_lots, q):
            return np.int64(0), NOTIONAL
        need = c.price_ticks * c.qty_lots * q if c.side == BUY else c.qty_lots * lot
        return need, (INSUFFICIENT_BALANCE if need > free else 0)
    last = i[I_LAST]
    if c.flags & BY_QUOTE:
        if c.side == BUY:
            return c.quote_units, (INSUFFICIENT_BALANCE if c.quote_units > free else 0)
        held = free // lot
        cap = held
        if last > 0:
            lots = c.quote_units // (last * q)
            if lots > held:
                return np.int64(0), INSUFFICIENT_BALANCE
            wanted = lots + lots // 10 + 1
            if wanted < cap:
                cap = wanted
        if c.qty_lots > 0 and c.qty_lots < cap:
            cap = c.qty_lots
        if cap == 0:
            return np.int64(0), INSUFFICIENT_BALANCE
        c.qty_lots = cap
        return cap * lot, 0
    if c.side != BUY:
        need = c.qty_lots * lot
        c.quote_units = 0
        return need, (INSUFFICIENT_BALANCE if need > free else 0)
    if too_large(last, c.qty_lots, q * 2):
        return np.int64(0), NOTIONAL
    least = last * c.qty_lots * q
    if least > free or free <= 0:
        return np.int64(0), INSUFFICIENT_BALANCE
    budget = least // 100 * MARKET_BUDGET_PERCENT
    if budget > free or budget == 0:
        budget = free
    if c.quote_units > 0 and c.quote_units < budget:
        budget = c.quote_units
    c.quote_units = budget
    return budget, 0


@njit(cache=True)
def admit_order(header, rows, counts, orders, ids, cids, balances, instruments, c, w, row, ts):
    """Reserve for a NEW or REPLACE and give it its order id; the reason it is refused for, or 0."""
    if rows[row, R_STATE] & R_PAUSED:
        return ACCOUNT_PAUSED
    if c.symbol < 0 or c.symbol >= len(instruments):
        return UNKNOWN_SYMBOL
    i = instruments[c.symbol]
    if not i[I_AVAILABLE]:
        return BOOK_UNAVAILABLE
    if c.side > 1 or c.ord_type > 2 or c.time_in_force > 2 or c.stp_mode > 4:
        return INVALID_COMMAND
    if c.flags & BY_QUOTE and c.ord_type != MARKET:
        return INVALID_COMMAND
    if w[CMD_CID] and find_cid(cids, orders, row, w, CMD_CID):
        return DUPLICATE_CLIENT_ORDER_ID
    target = 0
    if c.kind == REPLACE:
        target = find_id(ids, orders, c.target_id)
        if target == 0 or orders[target, O_ROW] != row or orders[target, O_SYMBOL] != c.symbol:
            return UNKNOWN_ORDER
        if (orders[target, O_META] >> STATUS_SHIFT) == S_PENDING:
            return ORDER_PENDING
        c.expected_leaves = -1
    elif counts[row, c.symbol] >= i[I_MAX_NUM_ORDERS]:
        return MAX_NUM_ORDERS
    asset = i[I_QUOTE] if c.side == BUY else i[I_BASE]
    free = balances[row, asset, 0]
    shared = np.int64(0)
    if target and (orders[target, O_META] & 255) == c.side:
        shared = orders[target, O_RESERVED]
    need, reason = need_of(c, i, free + shared)
    if reason:
        return reason
    borrow = np.int64(0)
    if need > free:
        borrow = need - free
        c.expected_leaves = orders[target, O_LEAVES]
    c.order_id = header[H_NEXT_ORDER] * header[H_PARTITIONS] + header[H_PARTITION]
    header[H_NEXT_ORDER] += 1
    c.maker_fee_ppm = rows[row, R_MAKER_FEE]
    c.taker_fee_ppm = rows[row, R_TAKER_FEE]
    balances[row, asset, 0] -= need - borrow
    balances[row, asset, 1] += need - borrow
    insert(header, rows, counts, orders, ids, cids, c, w, row, need - borrow, borrow, ts, S_PENDING)
    return 0


@njit(cache=True)
def admit_change(orders, ids, cids, instruments, c, w, row):
    """Resolve the order that a CANCEL or AMEND names; the reason it is refused for, or 0."""
    if c.flags & BY_CLIENT_ORDER_ID:
        s = find_cid(cids, orders, row, w, CMD_CID)
    else:
        s = find_id(ids, orders, c.order_id)
    if s == 0 or orders[s, O_ROW] != row or (c.symbol >= 0 and orders[s, O_SYMBOL] != c.symbol):
        return UNKNOWN_ORDER
    c.order_id = orders[s, O_ID]
    c.symbol = orders[s, O_SYMBOL]
    if not instruments[c.symbol, I_AVAILABLE]:
        return BOOK_UNAVAILABLE
    return 0


@njit(cache=True, nogil=True)
def admit(header, rows, counts, orders, ids, cids, balances, instruments, commands, words, ts, reasons):
    """Decide each command in order; `reasons[i]` 0: send it to its book, else why not."""
    p = header[H_PARTITION]
    n_p = header[H_PARTITIONS]
    for k in range(len(commands)):
        c = commands[k]
        w = words[k]
        row = np.int64(c.account) // n_p
        if c.account < 0 or c.account % n_p != p or row >= len(rows) or not rows[row, R_STATE] & R_OPEN:
            reasons[k] = UNKNOWN_ACCOUNT
        elif c.kind == NEW or c.kind == REPLACE:
            reasons[k] = admit_order(
                header, rows, counts, orders, ids, cids, balances, instruments, c, w, row, ts
            )
        elif c.kind == CANCEL or c.kind == AMEND:
            if c.kind == AMEND and rows[row, R_STATE] & R_PAUSED:
                reasons[k] = ACCOUNT_PAUSED
            else:
                reasons[k] = admit_change(orders, ids, cids, instruments, c, w, row)
        elif c.kind == CANCEL_ALL:
            if c.symbol < 0 or c.symbol >= len(instruments):
                reasons[k] = UNKNOWN_SYMBOL
            else:
                reasons[k] = 0 if instruments[c.symbol, I_AVAILABLE] else BOOK_UNAVAILABLE
        else:
            reasons[k] = INVALID_COMMAND


# -- settlement -------------------------------------------------------------------------------------------------


@njit(cache=True)
def mul_div(a, b, c):
    """floor(a x b / c) for 0 <= a, b < 2^62 and 0 < c, b <= c: exact by 128-bit long division."""
    a_lo = np.uint64(a) & np.uint64(0xFFFFFFFF)
    a_hi = np.uint64(a) >> np.uint64(32)
    b_lo = np.uint64(b) & np.uint64(0xFFFFFFFF)
    b_hi = np.uint64(b) >> np.uint64(32)
    low = a_lo * b_lo
    mid = a_hi * b_lo + (low >> np.uint64(32))
    mid2 = a_lo * b_hi + (mid & np.uint64(0xFFFFFFFF))
    hi = a_hi * b_hi + (mid >> np.uint64(32)) + (mid2 >> np.uint64(32))
    lo = (mid2 << np.uint64(32)) | (low & np.uint64(0xFFFFFFFF))
    if hi == np.uint64(0):
        return np.int64(lo // np.uint64(c))
    d = np.uint64(c)
    rem = hi % d
    out = np.uint64(0)
    for k in range(64):
        rem = (rem << np.uint64(1)) | ((lo >> np.uint64(63 - k)) & np.uint64(1))
        out = out << np.uint64(1)
        if rem >= d:
            rem -= d
            out |= np.uint64(1)
    return np.int64(out)


@njit(inline="always")
def fee_of(amount, ppm):
    """floor(amount x ppm / 10^6) without leaving 64 bits."""
    return amount // 1_000_000 * ppm + amount % 1_000_000 * ppm // 1_000_000


@njit(cache=True)
def keep_position(p, side, base, quote):
    """Average-cost bookkeeping: `base` units received or given for `quote` units, commission deducted."""
    if side == BUY:
        p[P_QTY] += base
        p[P_COST] += quote
        return
    part = base if base < p[P_QTY] else p[P_QTY]
    if part <= 0:
        return
    cost = mul_div(p[P_COST], part, p[P_QTY])
    p[P_REALISED] += mul_div(quote, part, base) - cost
    p[P_QTY] -= part
    p[P_COST] -= cost


@njit(cache=True)
def fill(o, i, balances, positions, price, qty, quote, ppm):
    """Post one side of a trade; returns (commission, its asset)."""
    row = o[O_ROW]
    base = i[I_BASE]
    qa = i[I_QUOTE]
    units = qty * i[I_BASE_PER_LOT]
    p = positions[row, o[O_SYMBOL]]
    balances[ROW_CLEARING, base, 0] += units if (o[O_META] & 255) != BUY else -units
    balances[ROW_CLEARING, qa, 0] += quote if (o[O_META] & 255) == BUY else -quote
    o[O_CUM] += qty
    o[O_CUM_QUOTE] += quote
    if (o[O_META] & 255) == BUY:
        market = ((o[O_META] >> 8) & 255) == MARKET
        unlocked = quote if market else qty * o[O_PRICE] * i[I_QUOTE_PER_TICK_LOT]
        o[O_RESERVED] -= unlocked
        balances[row, qa, 1] -= unlocked
        balances[row, qa, 0] += unlocked - quote
        fee = fee_of(units, ppm)
        balances[row, base, 0] += units - fee
        balances[ROW_FEES, base, 0] += fee
        keep_position(p, BUY, units - fee, quote)
        return fee, base
    o[O_RESERVED] -= units
    balances[row, base, 1] -= units
    fee = fee_of(quote, ppm)
    balances[row, qa, 0] += quote - fee
    balances[ROW_FEES, qa, 0] += fee
    keep_position(p, 1, units, quote - fee)
    return fee, qa


@njit(cache=True)
def release_lots(o, i, balances, lots):
    """Unlock what `lots` of the order's leaves reserve (amend, decrement)."""
    market = ((o[O_META] >> 8) & 255) == MARKET
    if (o[O_META] & 255) == BUY:
        if market:
            return
        units = lots * o[O_PRICE] * i[I_QUOTE_PER_TICK_LOT]
        asset = i[I_QUOTE]
    else:
        units = lots * i[I_BASE_PER_LOT]
        asset = i[I_BASE]
    o[O_RESERVED] -= units
    balances[o[O_ROW], asset, 1] -= units
    balances[o[O_ROW], asset, 0] += units


@njit(cache=True)
def tell(r, rw, rows, balances, instruments, row, account, symbol, exec_type, status, reason, ts):
    """Fill the fields every numbered report has."""
    rows[row, R_SEQ] += 1
    r.seq = rows[row, R_SEQ]
    r.exec_type = exec_type
    r.ord_status = status
    r.reason = reason
    r.symbol = symbol
    r.account = account
    r.ts_ns = ts
    r.commission_asset = -1
    r.asset = -1
    base = instruments[symbol, I_BASE]
    quote = instruments[symbol, I_QUOTE]
    r.base_free = balances[row, base, 0]
    r.base_locked = balances[row, base, 1]
    r.quote_free = balances[row, quote, 0]
    r.quote_locked = balances[row, quote, 1]


@njit(cache=True)
def tell_order(r, rw, o):
    """Copy an order's fields into a report."""
    meta = o[O_META]
    r.side = meta & 255
    r.ord_type = (meta >> 8) & 255
    r.time_in_force = (meta >> 16) & 255
    r.stp_mode = (meta >> 24) & 255
    r.flags = (meta >> 32) & 255
    r.order_id = o[O_ID]
    r.price_ticks = o[O_PRICE]
    r.qty_lots = o[O_QTY]
    r.cum_qty_lots = o[O_CUM]
    r.leaves_lots = o[O_LEAVES]
    r.cum_quote_units = o[O_CUM_QUOTE]
    r.created_ns = o[O_CREATED]
    r.orig_order_id = o[O_ORIG]
    for k in range(5):
        rw[REP_CID + k] = o[O_CID + k]


@njit(inline="always")
def set_status(o, status):
    o[O_META] = (o[O_META] & ((1 << STATUS_SHIFT) - 1)) | (np.int64(status) << STATUS_SHIFT)


@njit(cache=True, nogil=True)
def settle(
    header, rows, counts, orders, ids, cids, balances, positions, instruments,
    commands, words, events, ts, reports, report_words, answers,
):  # fmt: skip
    """Apply one committed book batch; returns the number of reports written.

    `answers[k]`: 1 + index of the newest report that answers command k (0: none), used to mark the last one.
    """
    p = header[H_PARTITION]
    n_p = header[H_PARTITIONS]
    n = 0
    answers[:] = 0
    for k in range(len(events)):
        e = events[k]
        i = instruments[e.symbol]
        if e.kind == TRADE:
            i[I_LAST] = e.price_ticks
        legs = 2 if e.kind == TRADE or e.kind == DECREMENTED else 1
        c = commands[e.command_index]
        for leg in range(legs):
            account = e.account if leg == 0 else e.maker_account
            if account % n_p != p:
                continue
            row = np.int64(account) // n_p
            if row >= len(rows):
                continue
            order_id = e.order_id if leg == 0 else e.maker_order_id
            counter = order_id // n_p
            if order_id % n_p == p and counter >= header[H_NEXT_ORDER] and e.command_kind != CANCEL:
                header[H_NEXT_ORDER] = counter + 1
            s = find_id(ids, orders, order_id)
            r = reports[n]
            rw = report_words[n]
            rw[:] = 0
            answered = leg == 0 and (
                order_id == c.order_id
                or c.kind == CANCEL_ALL
                or (c.kind == REPLACE and order_id == c.target_id)
            )
            if e.kind == REJECTED:
                is_order = e.command_kind == NEW or e.command_kind == REPLACE
                if s and is_order and (orders[s, O_META] >> STATUS_SHIFT) == S_PENDING:
                    remove(header, rows, counts, orders, ids, cids, balances, instruments, s)
                tell(
                    r, rw, rows, balances, instruments, row, account, e.symbol,
                    X_REJECTED if is_order else X_CANCEL_REJECTED, S_REJECTED, e.reason, ts,
                )  # fmt: skip
                r.side = e.side
                r.ord_type = e.ord_type
                r.time_in_force = e.time_in_force
                r.stp_mode = e.stp_mode
                r.flags = e.flags
                r.order_id = order_id
                r.orig_order_id = c.target_id
                r.price_ticks = e.price_ticks
                r.qty_lots = e.qty_lots
                for j in range(5):
                    rw[REP_CID + j] = words[e.command_index, CMD_CID + j]
            else:
                if s == 0 and e.kind == ACCEPTED:
                    asset = i[I_QUOTE] if c.side == BUY else i[I_BASE]
                    if c.ord_type != MARKET:
                        need = (
                            c.price_ticks * c.qty_lots * i[I_QUOTE_PER_TICK_LOT]
                            if c.side == BUY
                            else c.qty_lots * i[I_BASE_PER_LOT]
                        )
                    else:
                        need = c.quote_units if c.side == BUY else c.qty_lots * i[I_BASE_PER_LOT]
                    balances[row, asset, 0] -= need
                    balances[row, asset, 1] += need
                    s = insert(
                        header,
                        rows,
                        counts,
                        orders,
                        ids,
                        cids,
                        c,
                        words[e.command_index],
                        row,
                        need,
                        0,
                        ts,
                        S_NEW,
                    )
                if s == 0:
                    continue
                o = orders[s]
                status = S_NEW
                exec_type = X_NEW
                done = False
                fee = np.int64(0)
                fee_asset = np.int64(-1)
                if e.kind == ACCEPTED:
                    o[O_CREATED] = ts
                    if o[O_BORROW]:
                        asset = i[I_QUOTE] if (o[O_META] & 255) == BUY else i[I_BASE]
                        balances[row, asset, 0] -= o[O_BORROW]
                        balances[row, asset, 1] += o[O_BORROW]
                        o[O_RESERVED] += o[O_BORROW]
                        o[O_BORROW] = 0
                elif e.kind == TRADE:
                    ppm = e.taker_fee_ppm if leg == 0 else e.maker_fee_ppm
                    fee, fee_asset = fill(
                        o, i, balances, positions, e.price_ticks, e.qty_lots, e.quote_units, np.int64(ppm)
                    )
                    o[O_LEAVES] = e.leaves_lots if leg == 0 else e.maker_leaves_lots
                    exec_type = X_TRADE
                    by_quote = (o[O_META] >> 32) & BY_QUOTE
                    done = o[O_LEAVES] == 0 and not by_quote
                    status = S_FILLED if done else S_PARTIAL
                elif e.kind == DECREMENTED:
                    release_lots(o, i, balances, e.qty_lots)
                    o[O_LEAVES] = e.leaves_lots if leg == 0 else e.maker_leaves_lots
                    exec_type = X_PREVENTION
                    status = S_PARTIAL if o[O_CUM] else S_NEW
                elif e.kind == AMENDED:
                    release_lots(o, i, balances, o[O_LEAVES] - e.leaves_lots)
                    o[O_QTY] = e.qty_lots
                    o[O_LEAVES] = e.leaves_lots
                    exec_type = X_REPLACED
                    status = S_PARTIAL if o[O_CUM] else S_NEW
                elif e.kind == CANCELED:
                    exec_type = X_CANCELED
                    status = S_CANCELED
                    done = True
                else:
                    exec_type = X_EXPIRED
                    status = S_EXPIRED
                    if e.reason == STP:
                        status = S_EXPIRED_IN_MATCH
                    elif e.reason == QUOTE_SPENT and o[O_CUM] > 0:
                        status = S_FILLED
                    done = True
                set_status(o, status)
                tell_order(r, rw, o)
                if done:
                    remove(header, rows, counts, orders, ids, cids, balances, instruments, s)
                tell(
                    r,
                    rw,
                    rows,
                    balances,
                    instruments,
                    row,
                    account,
                    e.symbol,
                    exec_type,
                    status,
                    e.reason,
                    ts,
                )
                if e.kind == TRADE or e.kind == DECREMENTED:
                    r.last_qty_lots = e.qty_lots
                    r.last_price_ticks = e.price_ticks
                    r.last_quote_units = e.quote_units
                    r.trade_id = e.trade_id
                    r.commission_units = fee
                    r.commission_asset = fee_asset
                    if leg == 1:
                        r.flags |= MAKER_FLAG
            r.exec_id = e.exec_id
            r.partition = p
            r.command_kind = e.command_kind
            n += 1
            if answered:
                r.token = c.token
                r.gateway = c.gateway
                answers[e.command_index] = n
    for k in range(len(commands)):
        if answers[k]:
            reports[answers[k] - 1].last = 1
    return n


@njit(cache=True)
def drop_pending(header, rows, counts, orders, ids, cids, balances, instruments):
    """Release every order that the book never journaled; returns how many."""
    n = 0
    for s in range(1, len(orders)):
        if orders[s, O_ID] and (orders[s, O_META] >> STATUS_SHIFT) == S_PENDING:
            remove(header, rows, counts, orders, ids, cids, balances, instruments, s)
            n += 1
    return n


@njit(cache=True)
def rebuild(header, orders, ids, cids):
    """Fill fresh hash tables and the free list from the order pool."""
    header[H_FREE] = 0
    for s in range(len(orders) - 1, 0, -1):
        if orders[s, O_ID]:
            table_put(ids, mix(orders[s, O_ID]), s)
            if orders[s, O_CID]:
                table_put(cids, cid_hash(orders[s, O_ROW], orders[s], O_CID), s)
        else:
            orders[s, O_NEXT] = header[H_FREE]
            header[H_FREE] = s
