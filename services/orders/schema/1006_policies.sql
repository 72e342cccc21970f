-- What the shop published of its privacy policy, and the letters that it announced. No person stands here. Before the code.

-- Each version with its whole text, against which the next one is held; `widened` and `noticed` are sentences for people.
create table policies (
    policy_version   text        not null primary key,
    previous_version text        not null,
    document         text        not null,
    widened          jsonb       not null,
    noticed          jsonb       not null,
    is_mailed        boolean     not null,
    said_by          text        not null,
    published_at     timestamptz not null
);

-- `announcement` is the letter's own digest: the same letter is announced once.
create table announcements (
    announcement text        not null primary key,
    kind         text        not null check (kind in ('announcement', 'newsletter')),
    subject      text        not null,
    said_by      jsonb       not null,
    announced_at timestamptz not null
);
create index announcements_at on announcements (announced_at);
