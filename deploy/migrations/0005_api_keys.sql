-- Keys of programs that trade over the venue's API: what proves them, what they may, from where.

create table api_keys (
    api_key text primary key check (api_key ~ '^[A-Za-z0-9]{64}$'),
    user_id bigint not null references users on delete cascade,
    kind text not null check (kind in ('HMAC', 'RSA', 'ED25519')),
    label text not null check (char_length(label) <= 100),
    -- HMAC: the secret, sealed under a key of the exchange's own secret. To verify such a signature the exchange must
    -- know the secret itself; a copy of the database alone must not be enough to trade with it.
    sealed_secret bytea,
    -- RSA, ED25519: the public half, PEM.
    public_key text,
    can_read boolean not null,
    can_trade boolean not null,
    -- Addresses and networks it may be used from; empty: any.
    addresses text[] not null default '{}',
    created_at timestamptz not null default clock_timestamp(),
    -- Of the newest change or the revocation: gateways ask what changed.
    changed_at timestamptz not null default clock_timestamp(),
    revoked_at timestamptz,
    last_used_at timestamptz,
    last_used_from text,
    constraint api_keys_proof check ((kind = 'HMAC') = (sealed_secret is not null) and (kind = 'HMAC') = (public_key is null))
);

create index api_keys_of_user on api_keys (user_id, created_at) where revoked_at is null;
create index api_keys_changed on api_keys (changed_at);
