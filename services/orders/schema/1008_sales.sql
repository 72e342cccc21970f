-- What an order sold, by department, until its month is counted or its person is erased; and which month was released, for good. Before the code.

-- Written with the order's own row, so that it costs no statement; null once it is counted. No index: months are counted once each.
alter table orders add column sales jsonb;

-- The ledger of what was let out: a month once, whatever the cut. The table itself holds sums of many persons, and none.
create table department_releases (
    month         text        not null primary key check (month ~ '^[0-9]{4}-[0-9]{2}$'),
    cut           text        not null,
    least_persons integer     not null check (least_persons >= 3),
    document      jsonb       not null,
    released_at   timestamptz not null
);

create function department_releases_stand() returns trigger language plpgsql as $$
begin
    raise exception 'what was released is never changed' using errcode = '42501';
end
$$;
create trigger department_releases_stand before update or delete or truncate on department_releases
    for each statement execute function department_releases_stand();
