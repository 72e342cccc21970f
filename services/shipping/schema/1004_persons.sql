-- What a person asks for is found by the person, and a recipient that could not be used may be corrected. Before the code.

-- null where the part could not be used: a corrected one takes its place.
alter table recipients alter column recipient drop not null;
create index recipients_customer on recipients (shop, customer_id);
create index labels_order on labels (shop, order_number);
