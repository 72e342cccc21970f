-- Incidents become cases: numbered, with a state, a report and every word of staff about them. Before the code.
alter table incidents
    add column number bigint generated always as identity unique,
    add column state  text   not null default 'open' check (state in ('open', 'investigated', 'reported', 'closed')),
    add column times  bigint not null default 1,
    add column report jsonb;

-- Every word about an incident, in order. Only ever added to.
create table incident_words (
    position bigint      generated always as identity primary key,
    incident bigint      not null,
    deed     text        not null,
    said_by  text        not null,
    reason   text        not null,
    at       timestamptz not null
);
create index incident_words_incident on incident_words (incident, position);

create function incident_words_stand() returns trigger language plpgsql as $$
begin
    raise exception 'words about incidents are never changed' using errcode = '42501';
end
$$;
create trigger incident_words_stand before update or delete or truncate on incident_words for each statement execute function incident_words_stand();
