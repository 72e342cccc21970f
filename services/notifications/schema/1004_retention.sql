-- When an order came to its end, and whether its contact is still kept. Before the code.
alter table correspondences add column ended_at timestamptz, add column is_kept boolean not null default true;
-- What ended under an older release counts from now on.
update correspondences set ended_at = now() where is_cancelled or mails ? 'delivery';
create index correspondences_kept on correspondences (ended_at) where is_kept and ended_at is not null;
analyze correspondences;
