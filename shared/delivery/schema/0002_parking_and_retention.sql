-- What a person must know of what is parked, what was discarded, and how the inbox is cleared. Before the code.

-- shop, order_number: the order that it is about, where that is known.
-- takes: how often it was taken up since it last ended; a message that kills its process leaves no ending.
-- replays: how often a person had it tried again; `tries` counts from the last time.
alter table held
    add column shop         text,
    add column order_number text,
    add column takes        integer not null default 0,
    add column replays      integer not null default 0;
create index held_parked on held (last_at) where state = 'parked';
-- By hash: these texts may be longer than a B-tree takes.
create index held_event on held using hash (event_id);
create index held_order on held using hash (order_number);

alter table intents
    add column last_at timestamptz not null default now(),
    add column replays integer     not null default 0;
create index intents_parked on intents (last_at) where parked is not null;

-- What a person took out of `held` (kind 'message') or `intents` (kind 'call') for good, and why. Only ever added to.
create table discards (
    id           uuid        not null primary key,
    service      text        not null,
    kind         text        not null check (kind in ('message', 'call')),
    queue        text,
    source       text,
    event_id     text,
    type         text,
    shop         text,
    order_number text,
    parked_for   text        not null,
    tries        integer     not null,
    replays      integer     not null,
    first_at     timestamptz not null,
    last_at      timestamptz not null,
    reason       text        not null check (reason ~ '^[a-z0-9_]{1,64}$'),
    ticket       text        check (ticket ~ '^[A-Za-z0-9._#-]{1,64}$'),
    discarded_by text        not null check (discarded_by ~ '^[A-Za-z0-9._-]{1,64}$'),
    discarded_at timestamptz not null default now()
);
create index discards_discarded_at on discards (discarded_at);

create function discards_are_only_added_to() returns trigger language plpgsql as $$
begin
    raise exception 'discards are only added to' using errcode = 'restrict_violation';
end $$;
create trigger discards_are_only_added_to before update or delete or truncate on discards
    for each statement execute function discards_are_only_added_to();

-- A B-tree, for BRIN does not last here: see decision 0021.
create index inbox_received_at on inbox (received_at);
