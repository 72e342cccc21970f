-- The head of the record of openings: how far it goes, so that an end that was cut off shows. Before the code.
-- It is sealed under a key of the service (`seal`). Empty where it never was: the service seals it when it has told of that, or, with nothing in the
-- record, when the first entry is written.
alter table record_marks add column seal text not null default '';
insert into record_marks (name, position, hash)
select 'head', coalesce(max(position), 0), coalesce((select hash from openings order by position desc limit 1), '') from openings;
