-- Since when each part's trouble holds the order, and when a hold was last ended: word of one that is over is not sent. Before the code.
alter table correspondences add column held jsonb, add column released_at timestamptz;
