-- With the recipient the numbers go by which the carrier knows the address. Afterwards nobody here knows whose they were, so that an erasure would
-- not find them: the table itself takes none. Before the code: a clearing of the older release waits for this one.
update shipments set tracking_number = null, tracking_url = null, label_id = null
where not is_kept and coalesce(tracking_number, tracking_url, label_id) is not null;
delete from intents using shipments
where not is_kept and intents.shop = shipments.shop and intents.order_number = shipments.order_number;
alter table shipments add constraint shipments_let_go check (is_kept or coalesce(tracking_number, tracking_url, label_id) is null);
