-- The life of keys: which master keys are in use, under which master an intake key stands, and how far the record of openings was looked at.
-- Before the code.

-- Every master key that ever wrapped something here, by its name. Nothing is written under one that is retired: whoever writes holds its row
-- until the end of the transaction, and whoever retires it waits for them.
create table masters (
    master_id     text        not null primary key,
    first_used_at timestamptz not null,
    retired_at    timestamptz
);
insert into masters (master_id, first_used_at)
select master_id, now() from part_keys union select master_id, now() from service_keys;

-- Null where an older release sealed the private half another way: such a row is wrapped anew when the service starts.
alter table intake_keys add column master_id text;

-- How far the service itself has looked through its record.
create table record_marks (
    name     text   not null primary key,
    position bigint not null,
    hash     text   not null
);
