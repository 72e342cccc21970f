-- When a shipment came to its end, and whether its recipient and lines are still kept. Before the code.
-- The columns change once or twice in an order's life, so the index costs the other updates nothing (decision 0022).
alter table shipments
    add column ended text generated always as (greatest(facts ->> 'delivered', facts ->> 'cancelled')) stored,
    add column is_kept boolean not null default true;
create index shipments_kept on shipments (ended) where is_kept and ended is not null;
analyze shipments;
