-- What a person asks for is found by the person, and a contact that could not be used may be corrected. Before the code.

-- null where the part could not be used: a corrected one takes its place.
alter table contacts alter column contact drop not null;
create index contacts_customer on contacts (shop, customer_id);

-- What persons chose, each choice with its time and the policy version. Only ever added to, until the person is erased.
create table preference_changes (
    shop           text        not null,
    customer_id    text        not null,
    request        text        not null,
    chosen_at      timestamptz not null,
    policy_version text        not null,
    communication  text,
    policy_choice  text,
    primary key (shop, customer_id, request)
);
