-- What a person asks for is found by the person; who was erased is nobody's any more. Before the code.
create index payments_customer on payments (shop, customer_id) where customer_id <> '';
