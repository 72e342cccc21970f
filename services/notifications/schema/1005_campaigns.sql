-- Letters to many: what is told, how far it has come, and what became of each person's letter. Before the code.

-- `cursor_…` is the last person of the pass that is under way; `pass_begun_at` when it began: the pass that begins after `until` is the last one.
create table campaigns (
    campaign         text        not null primary key,
    kind             text        not null,
    told             jsonb       not null,
    collected_before text,
    until            timestamptz not null,
    begun_at         timestamptz not null,
    pass_begun_at    timestamptz not null,
    due_at           timestamptz not null,
    cursor_shop      text        not null default '',
    cursor_customer  text        not null default '',
    done_at          timestamptz
);
create index campaigns_due on campaigns (due_at) where done_at is null;

-- One letter for each person and campaign. `letter` is its name in the mail's Message-ID and tells nothing of the person.
create table campaign_letters (
    campaign     text        not null references campaigns,
    shop         text        not null,
    customer_id  text        not null,
    order_number text        not null,
    letter       uuid        not null,
    state        text        not null check (state in ('sending', 'sent', 'refused', 'withheld')),
    reason       text,
    changed_at   timestamptz not null,
    primary key (campaign, shop, customer_id)
);
create index campaign_letters_person on campaign_letters (shop, customer_id);
