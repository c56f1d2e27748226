-- Identity: users, their sessions, the refresh tokens of a session, and who did what.

create table users (
    user_id bigint generated always as identity (start with 1) primary key,
    username text not null check (username ~ '^[A-Za-z0-9][A-Za-z0-9_.-]{2,31}$'),
    email text check (char_length(email) <= 254),
    -- Null: cannot log in with a password.
    password_hash text,
    -- 'agent' is a simulated participant: it owns an account and never logs in.
    role text not null default 'user' check (role in ('admin', 'user', 'viewer', 'agent')),
    created_at timestamptz not null default now(),
    disabled boolean not null default false,
    constraint users_agent_has_no_password check (role <> 'agent' or password_hash is null)
);

create unique index users_username_key on users (lower(username));
create unique index users_email_key on users (lower(email));

create table sessions (
    session_id bigint generated always as identity primary key,
    user_id bigint not null references users on delete cascade,
    address text,
    created_at timestamptz not null default clock_timestamp(),
    -- After this no refresh token of the session is good any more.
    expires_at timestamptz not null,
    revoked_at timestamptz
);

create index sessions_of_user on sessions (user_id, session_id) where revoked_at is null;
-- Every gateway asks every few seconds which sessions ended.
create index sessions_revoked on sessions (revoked_at) where revoked_at is not null;
create index sessions_expiry on sessions (expires_at);

create table refresh_tokens (
    token_hash bytea primary key check (octet_length(token_hash) = 32),
    session_id bigint not null references sessions on delete cascade,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    -- A token is good once; to see it again means that somebody copied it.
    used_at timestamptz
);

create index refresh_tokens_of_session on refresh_tokens (session_id);

create table audit_log (
    audit_id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    -- No reference: the log outlives the user.
    user_id bigint,
    action text not null check (char_length(action) <= 64),
    address text,
    detail text check (char_length(detail) <= 500)
);

create index audit_log_of_user on audit_log (user_id, audit_id);
create index audit_log_at on audit_log using brin (at);
