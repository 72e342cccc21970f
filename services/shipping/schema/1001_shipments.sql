-- Shipments. recipient is the sealed part as it came; lines hold no price. Before the code.
create table shipments (
    shop             text        not null,
    order_number     text        not null,
    pick_list        text        not null unique,
    parcel           text        not null unique,
    state            text        not null,
    customer_id      text        not null,
    placed_at        timestamptz,
    shipping_service text        not null,
    lines            jsonb       not null,
    recipient        jsonb,
    package          jsonb,
    label_id         text,
    carrier          text,
    tracking_number  text,
    tracking_url     text,
    reason           text,
    facts            jsonb       not null,
    primary key (shop, order_number)
);

-- Carriers use tracking numbers again after a while, so they are not unique.
create index shipments_tracking_number on shipments (tracking_number) where tracking_number is not null;

-- What waits for staff: finished shipments are not in it, so it stays small.
create index shipments_work on shipments (state, placed_at) where state in ('to_pick', 'to_pack', 'to_hand_over');

-- Labels as PDF, sealed to shipping's own intake key: a label shows an address.
create table labels (
    parcel text  not null primary key,
    key_id text  not null,
    box    bytea not null
);
