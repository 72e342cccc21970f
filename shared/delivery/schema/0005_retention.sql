-- What a service has to let go of in time, what must stay, and how much of the erasure journal its tables have seen. Before the code.

-- Orders that must stay because the law says so: as the last word about each was. The record of who said it is orders'.
create table legal_holds (
    shop         text        not null,
    order_number text        not null,
    is_held      boolean     not null,
    clause       text        not null,
    changed_at   timestamptz not null,
    primary key (shop, order_number)
);

-- Each clearing as it last ended: how much it did in all, what was still due then, and what a legal hold kept.
create table retention_clearings (
    clearing         text        not null primary key,
    done          bigint      not null,
    due           bigint      not null,
    held          bigint      not null,
    oldest_due_at timestamptz,
    looked_at     timestamptz not null
);

-- One row. A restored backup brings an older number, and with it the erasures that these tables have to go through again.
create table erasures_applied (applied bigint not null);
insert into erasures_applied values (0);
