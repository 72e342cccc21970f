-- The payment of each order. billing is the sealed part as it came, null as soon as the provider has answered. Before the code.
create table payments (
    shop                    text        not null,
    order_number            text        not null,
    state                   text        not null,
    customer_id             text        not null,
    provider                text        not null,
    reference               text        not null,
    currency                text        not null,
    amount_minor            bigint      not null,
    billing                 jsonb,
    is_labelled             boolean     not null,
    authorisation_reference text,
    capture_reference       text,
    reason                  text,
    entrusted_at            timestamptz,
    settled_at              timestamptz,
    primary key (shop, order_number)
);

-- Which order a provider's reference pays for: PayPal cannot tell two of our orders that name one of its orders apart.
create table payment_references (
    provider     text not null,
    reference    text not null,
    shop         text not null,
    order_number text not null,
    primary key (provider, reference)
);
