-- What persons entrust beside orders: a friend to write to, a special request; complaints. Before the code.

-- A friend's name and address in its envelope until the one mail is over. begun_at: the mail may have been handed over, so never again.
create table invitations (
    shop        text        not null,
    referral    text        not null,
    customer_id text        not null,
    friend      jsonb       not null,
    item        jsonb       not null,
    taken_at    timestamptz not null,
    begun_at    timestamptz,
    primary key (shop, referral)
);
create index invitations_customer on invitations (shop, customer_id);

-- Addresses that are not written to again, as keyed hashes: invited once, or refused for good. Never swept: else it could not be honoured.
create table remembered_friends (
    friend       text        not null primary key,
    since        timestamptz not null,
    opted_out_at timestamptz
);

-- What members ask the staff for, and the answer under the same key; gone 60 days after the answer.
create table special_requests (
    shop        text        not null,
    request_id  text        not null,
    customer_id text        not null,
    request     jsonb       not null,
    reply       jsonb,
    state       text        not null check (state in ('open', 'answering', 'answered', 'refused')),
    received_at timestamptz not null,
    ended_at    timestamptz,
    primary key (shop, request_id)
);
create index special_requests_customer on special_requests (shop, customer_id);
create index special_requests_open on special_requests (received_at) where ended_at is null;
create index special_requests_ended on special_requests (ended_at) where ended_at is not null;

-- Complaints: cases with a clock. request_id is null once the person is erased.
create table complaints (
    case_id         text        not null primary key,
    shop            text        not null,
    request_id      text,
    owner           text        not null,
    opened_at       timestamptz not null,
    due_at          timestamptz not null,
    acknowledged_at timestamptz,
    closed_at       timestamptz
);
create unique index complaints_request on complaints (shop, request_id) where request_id is not null;
create index complaints_open on complaints (due_at) where closed_at is null;
