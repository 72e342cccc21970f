-- What persons ask for, and what orders remembers of persons. Before the code.

-- A person's open orders are found by the person; an order of somebody who was erased is nobody's.
create index orders_customer on orders (shop, customer_id) where customer_id <> '';

-- Each request with its receipts. person is a keyed digest; customer_id is null once the person is erased.
create table requests (
    shop        text        not null,
    kind        text        not null,
    request     text        not null,
    event_id    text        not null,
    person      text        not null,
    customer_id text,
    holders     jsonb       not null,
    asked       jsonb       not null,
    state       text        not null,
    receipts    jsonb       not null,
    orders      jsonb       not null,
    reasons     jsonb       not null,
    certificate jsonb,
    received_at timestamptz not null,
    told_at     timestamptz not null,
    closed_at   timestamptz,
    primary key (shop, kind, request)
);
create index requests_open on requests (received_at) where state not in ('closed', 'refused');
create index requests_person on requests (person);

-- Persons who are not simply active, by their digests: deactivated, leaving (an erasure was asked for) or erased.
create table persons (
    person text        not null primary key,
    state  text        not null check (state in ('deactivated', 'leaving', 'erased')),
    since  timestamptz not null
);

-- What persons chose, each choice with its time and the policy version. Only ever added to, until the person is erased.
create table preference_changes (
    shop           text        not null,
    customer_id    text        not null,
    request        text        not null,
    chosen_at      timestamptz not null,
    policy_version text        not null,
    communication  text,
    policy_choice  text,
    primary key (shop, customer_id, request)
);

-- The public halves of the keys that receipts are signed with.
create table receipt_keys (
    key_id       text        not null primary key,
    service      text        not null,
    public_key   text        not null,
    announced_at timestamptz not null
);

-- The pieces of a person's copy, each sealed to the person's own key, until the copy's time is over.
create table export_pieces (
    shop            text        not null,
    request         text        not null,
    service         text        not null,
    piece           text        not null,
    available_until timestamptz not null,
    primary key (shop, request, service)
);
create index export_pieces_until on export_pieces (available_until);
