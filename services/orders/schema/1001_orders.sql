-- Orders: where each stands. No personal part, sealed or not, is ever a column here. Before the code.
create table orders (
    shop           text        not null,
    order_number   text        not null,
    event_id       text        not null,
    customer_id    text        not null,
    policy_version text        not null,
    data_digest    text        not null,
    placed_at      timestamptz not null,
    state          text        not null,
    reasons        jsonb       not null,
    facts          jsonb       not null,
    primary key (shop, order_number)
);

-- The answer that each event of a storefront got: its repeat gets the same again.
create table answers (
    source       text  not null,
    event_id     text  not null,
    kind         text  not null,
    order_number text,
    reasons      jsonb not null,
    primary key (source, event_id)
);

-- The services' public sealing keys, for GET /keys and for sealing at the door.
create table intake_keys (
    service      text        not null,
    key_id       text        not null,
    public_key   text        not null,
    expires_at   timestamptz not null,
    announced_at timestamptz not null,
    primary key (service, key_id)
);
