-- With the contact the tracking goes by which the carrier knows the address. Afterwards nobody here knows whose it was, so that an erasure would
-- not find it: the table itself takes none. Before the code: a clearing of the older release waits for this one.
update correspondences set tracking = null where not is_kept and tracking is not null;
delete from intents using correspondences
where not is_kept and intents.shop = correspondences.shop and intents.order_number = correspondences.order_number;
alter table correspondences add constraint correspondences_let_go check (is_kept or tracking is null);
