-- The keys of parts at rest, what persons have chosen, and the record of every opening. Nobody's id stands here in the clear: a person and an order are
-- named by a digest under a key of this service. Before the code.

-- Keys of this service that it needs to name persons, wrapped under the master key.
create table service_keys (
    name      text  not null primary key,
    master_id text  not null,
    wrapped   bytea not null
);

-- The key of a part, wrapped under the master key. A row that is gone is a part that nobody can read again.
create table part_keys (
    person         text        not null,
    item           text        not null,
    part           text        not null,
    policy_version text        not null,
    master_id      text        not null,
    wrapped        bytea       not null,
    created_at     timestamptz not null,
    primary key (person, item, part)
);
create index part_keys_master on part_keys (master_id);

-- Persons who are not simply active. One who is erased never gets a key again.
create table persons (
    person text        not null primary key,
    state  text        not null check (state in ('deactivated', 'erased')),
    since  timestamptz not null
);

-- Every opening and every refusal, in order, each entry bound to the one before. Only ever added to: a trigger refuses the rest.
create table openings (
    position       bigint      not null primary key,
    at             timestamptz not null,
    actor          text        not null,
    purpose        text        not null,
    part           text        not null,
    form           text        not null,
    person         text        not null,
    item           text        not null,
    policy_version text        not null,
    ending         text        not null,
    salt           text        not null,
    hash           text        not null
);
create index openings_person on openings (person);

create function openings_stand() returns trigger language plpgsql as $$
begin
    raise exception 'openings are never changed' using errcode = '42501';
end
$$;
create trigger openings_stand before update or delete or truncate on openings for each statement execute function openings_stand();
