-- What orders keeps for the others' sake: where their records of openings stood, what was noticed, and which orders must stay. Before the code.

-- Hashes of the others' records, kept apart from them: who rewrites a record cannot rewrite these.
create table record_anchors (
    service  text        not null,
    position bigint      not null,
    hash     text        not null,
    at       timestamptz not null,
    primary key (service, position)
);

-- Something that must not be: a broken envelope, a broken record. `place` tells repeats apart and names nobody.
create table incidents (
    service    text        not null,
    kind       text        not null,
    place      text        not null,
    noticed_at timestamptz not null,
    opened_at  timestamptz not null default now(),
    primary key (service, kind, place)
);

-- Every word about legal holds, in order. Only ever added to.
create table hold_record (
    position     bigint      generated always as identity primary key,
    shop         text        not null,
    order_number text        not null,
    deed         text        not null check (deed in ('placed', 'lifted')),
    clause       text        not null,
    said_by      text        not null,
    at           timestamptz not null
);
create index hold_record_order on hold_record (shop, order_number, position);

create function hold_record_stands() returns trigger language plpgsql as $$
begin
    raise exception 'words about legal holds are never changed' using errcode = '42501';
end
$$;
create trigger hold_record_stands before update or delete or truncate on hold_record for each statement execute function hold_record_stands();
