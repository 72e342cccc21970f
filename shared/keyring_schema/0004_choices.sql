-- What persons chose, where it is decided who may open what: each choice with its time and the policy version. Only ever added to, until the
-- person is erased. Before the code.
create table choices (
    person         text        not null,
    request        text        not null,
    chosen_at      timestamptz not null,
    policy_version text        not null,
    communication  text,
    policy_choice  text,
    primary key (person, request)
);
