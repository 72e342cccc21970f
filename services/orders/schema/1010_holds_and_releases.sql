-- An erasure says which holds it waits for; what was given to an authority stands beside the words about holds. Before the code.

-- Order number → the clause that keeps it.
alter table requests add column legal_holds jsonb not null default '{}';

alter table hold_record drop constraint hold_record_deed_check;
alter table hold_record add constraint hold_record_deed_check check (deed in ('placed', 'lifted', 'released'));
-- Of a release: which part, and the authority's own number of what it asked. `said_by` is then both members.
alter table hold_record add column part text;
alter table hold_record add column dossier text;
