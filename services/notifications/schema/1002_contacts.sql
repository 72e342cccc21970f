-- What changes with every fact is parted from what an order brings once: an update no longer rewrites contact and order. Before the code.

-- contact is the sealed part as it came; "order" is what the confirmation tells (lines, amounts, time).
create table contacts (
    shop         text  not null,
    order_number text  not null,
    customer_id  text  not null,
    contact      jsonb not null,
    "order"      jsonb not null,
    primary key (shop, order_number)
);
insert into contacts (shop, order_number, customer_id, contact, "order")
select shop, order_number, customer_id, contact, "order" from correspondences where contact is not null and "order" is not null;

alter table correspondences add column is_entrusted boolean not null default false;
update correspondences set is_entrusted = true where contact is not null;
alter table correspondences alter column is_entrusted drop default, drop column customer_id, drop column contact, drop column "order";

-- Room on each page for the next version of its rows.
alter table correspondences set (fillfactor = 70);

-- A mail reads the contact when it is sent, so that no second copy of it stands here.
update intents set details = details - 'contact' - 'order';
