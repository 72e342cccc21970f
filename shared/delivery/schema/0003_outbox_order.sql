-- An order's events are published in the order of their writing, also when a publish failed or another process wrote the earlier one.
-- Before the code.

-- Which process publishes the row now; null where none does and the sweep takes it up.
alter table outbox add column writer uuid;

-- Finds what stands of the same order; the sweep reads the few rows that stand without an index of its own.
create index outbox_subject on outbox (subject, position);
drop index outbox_leased_until;
