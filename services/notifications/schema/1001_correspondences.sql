-- What each order's customer is owed in mails, and got. contact is the sealed part as it came. Before the code.
create table correspondences (
    shop            text    not null,
    order_number    text    not null,
    customer_id     text    not null,
    "order"         jsonb,
    contact         jsonb,
    contact_refused boolean not null,
    is_cancelled    boolean not null,
    tracking        jsonb,
    mails           jsonb   not null,
    primary key (shop, order_number)
);
