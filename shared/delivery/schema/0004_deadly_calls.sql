-- A call that kills whoever makes it is parked in the end, as a message is. Before the code.

-- takes: how often it was taken up since it last had an outcome.
alter table intents add column takes integer not null default 0;

-- What an older release held names its order too.
update held set order_number = body::json -> 'data' ->> 'order_number', shop = coalesce(body::json -> 'data' ->> 'shop', source)
where body is not null and order_number is null and body::json -> 'data' ->> 'order_number' is not null;
