-- Room on each page for the next version of its rows: an order's row changes some nine times. Before the code.
alter table orders set (fillfactor = 70);
