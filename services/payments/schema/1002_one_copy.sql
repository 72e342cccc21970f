-- A call reads the billing part when it is made, so that no second copy of it stands beside the payment's. Before the code.
update intents set details = details - 'billing';

-- Room on each page for the next version of its rows.
alter table payments set (fillfactor = 70);
