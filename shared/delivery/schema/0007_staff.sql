-- Staff of a service: accounts, tries of passwords, sessions, cases, acknowledgements, reveals, releases to an authority. Before the code.

-- `account` is how the record of openings names a member: nobody's name. `secret_hash` is argon2id's.
create table staff_accounts (
    account     text        not null primary key,
    name        text        not null unique,
    role        text        not null,
    secret_hash text        not null,
    is_active   boolean     not null,
    changed_at  timestamptz not null
);

-- Tries since the last success, by the digest of the name that was given, whether or not there is such a name.
create table staff_tries (
    name_digest text        not null primary key,
    failures    integer     not null,
    last_at     timestamptz not null
);
create index staff_tries_last on staff_tries (last_at);

-- The token stands nowhere: its SHA-256 does.
create table staff_sessions (
    token_digest text        not null primary key,
    account      text        not null references staff_accounts,
    begun_at     timestamptz not null,
    acted_at     timestamptz not null,
    locked_at    timestamptz
);
create index staff_sessions_begun on staff_sessions (begun_at);

create table staff_cases (
    case_id      text        not null primary key,
    account      text        not null references staff_accounts,
    shop         text        not null,
    order_number text        not null,
    reason       text        not null,
    ticket       text,
    opened_at    timestamptz not null,
    expires_at   timestamptz not null
);

-- Only ever added to.
create table staff_acknowledgements (
    account         text        not null references staff_accounts,
    policy_version  text        not null,
    acknowledged_at timestamptz not null,
    primary key (account, policy_version, acknowledged_at)
);
create function acknowledgements_stand() returns trigger language plpgsql as $$
begin
    raise exception 'acknowledgements are never changed' using errcode = '42501';
end
$$;
create trigger acknowledgements_stand before update or delete or truncate on staff_acknowledgements
    for each statement execute function acknowledgements_stand();

-- When a member had something opened: for the limit of an hour. What it was is in the record of openings.
create table staff_reveals (
    account text        not null references staff_accounts,
    at      timestamptz not null
);
create index staff_reveals_of on staff_reveals (account, at);

-- What is to be given to an authority: one proposes it, another approves it.
create table staff_releases (
    release       text        not null primary key,
    shop          text        not null,
    order_number  text        not null,
    part          text        not null,
    clause        text        not null,
    dossier       text        not null,
    authority_key text        not null,
    proposed_by   text        not null references staff_accounts,
    proposed_at   timestamptz not null,
    approved_by   text        references staff_accounts check (approved_by <> proposed_by),
    approved_at   timestamptz
);
