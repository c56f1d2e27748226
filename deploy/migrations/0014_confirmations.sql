-- Confirmations of proposed orders that were used: each is good once, on whichever gateway, restarts or not. What is older
-- than a confirmation lives is deleted.

create table used_confirmations (
    id bytea primary key,
    user_id bigint not null,
    used_at timestamptz not null default clock_timestamp()
);

create index used_confirmations_used_at on used_confirmations (used_at);
