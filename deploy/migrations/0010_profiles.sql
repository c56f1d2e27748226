-- What an account meets of the venue: fees, fill model, latency, rate limit. The account's journal is the truth of what
-- holds for its orders; these rows tell it to people and gateways.

create table profiles (
    name text primary key check (name ~ '^[a-z0-9][a-z0-9_.-]{0,31}$'),
    -- market.profile.TradingProfile
    document jsonb not null,
    -- Whoever registers may choose it.
    self_service boolean not null default false,
    changed_at timestamptz not null default clock_timestamp()
);

alter table users
    -- Null: the one that everybody has.
    add column profile jsonb,
    -- The named one it was copied from.
    add column profile_name text,
    add column profile_changed_at timestamptz;

-- Every gateway asks every few seconds what changed.
create index users_profile_changed on users (profile_changed_at) where profile_changed_at is not null;
