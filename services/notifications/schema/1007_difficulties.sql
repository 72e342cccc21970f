-- When a hold was last ended: word of one that is over is not sent. Before the code.
alter table correspondences add column released_at timestamptz;
