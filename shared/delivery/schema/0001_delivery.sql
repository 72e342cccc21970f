-- The plumbing's own tables, the same in every service's database. Before the code.

-- Messages taken up once: a second row of the same speaker and id cannot be.
create table inbox (
    source      text        not null,
    id          text        not null,
    received_at timestamptz not null,
    primary key (source, id)
);

-- Events committed with the state they tell of, until the broker has confirmed them.
-- leased_until: until then the process that wrote the row is publishing it; afterwards anybody may.
create table outbox (
    id           uuid        not null primary key,
    position     bigint      not null generated always as identity,
    exchange     text        not null,
    type         text        not null,
    subject      text        not null,
    body         text        not null,
    tries        integer     not null default 0,
    leased_until timestamptz not null,
    created_at   timestamptz not null
);
create index outbox_leased_until on outbox (leased_until);

-- Calls to an outside party that are decided and not yet settled. `details` holds no personal datum in the clear.
create table intents (
    id           uuid        not null primary key,
    kind         text        not null,
    shop         text        not null,
    order_number text        not null,
    key          text        not null,
    details      jsonb       not null,
    traceparent  text,
    tries        integer     not null default 0,
    parked       text,
    leased_until timestamptz not null,
    created_at   timestamptz not null,
    unique (kind, key)
);
create index intents_due on intents (leased_until) where parked is null;

-- Messages that were neither done nor refused: 'later' (tried again when due) or 'parked' (a person decides).
-- body is null unless the message validated with every part sealed.
create table held (
    id         uuid        not null primary key,
    state      text        not null check (state in ('later', 'parked')),
    queue      text        not null,
    source     text,
    event_id   text,
    type       text,
    reason     text        not null,
    faults     jsonb       not null default '[]',
    body       text,
    length     integer     not null,
    headers    jsonb       not null default '{}',
    tries      integer     not null,
    first_at   timestamptz not null,
    last_at    timestamptz not null,
    due_at     timestamptz
);
create index held_due on held (due_at) where state = 'later';
