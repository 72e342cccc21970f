-- Whether the key of a payment's billing part still stands, and the age of the books. Before the code.
-- `is_answered` changes once in a payment's life, so the index costs the other updates nothing (decision 0022).
alter table payments
    add column is_answered boolean not null generated always as (state not in ('expected', 'authorising')) stored,
    add column is_kept boolean not null default true;
create index payments_kept on payments (entrusted_at) where is_kept and is_answered;
create index payments_age on payments using brin (entrusted_at);
analyze payments;
