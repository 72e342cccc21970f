-- What changes with every fact is parted from what an order brings once: an update no longer rewrites lines and recipient. Before the code.

-- recipient is the sealed part as it came.
create table recipients (
    shop         text  not null,
    order_number text  not null,
    customer_id  text  not null,
    recipient    jsonb not null,
    primary key (shop, order_number)
);
insert into recipients (shop, order_number, customer_id, recipient)
select shop, order_number, customer_id, recipient from shipments where recipient is not null;

-- What is to be picked; no price.
create table shipment_lines (
    shop         text  not null,
    order_number text  not null,
    lines        jsonb not null,
    primary key (shop, order_number)
);
insert into shipment_lines (shop, order_number, lines)
select shop, order_number, lines from shipments where recipient is not null;

alter table shipments drop column customer_id, drop column lines, drop column recipient;

-- A scan is looked up by its tracking number among the labels, so that an update of a shipment touches one index less.
alter table labels add column shop text, add column order_number text, add column tracking_number text,
    add column labelled_at timestamptz not null default now();
update labels set shop = shipments.shop, order_number = shipments.order_number, tracking_number = shipments.tracking_number,
    labelled_at = (shipments.facts ->> 'labelled')::timestamptz
from shipments where shipments.parcel = labels.parcel;
alter table labels alter column shop set not null, alter column order_number set not null, alter column tracking_number set not null;
drop index shipments_tracking_number;
-- Carriers use tracking numbers again after a while, so they are not unique.
create index labels_tracking_number on labels (tracking_number);

-- Room on each page for the next version of its rows.
alter table shipments set (fillfactor = 70);

-- A call reads the recipient when it is made, so that no second copy of it stands here.
update intents set details = details - 'recipient';
