-- A pick list and its parcel bear one code, so one index finds both; a label is found by its shipment (decision 0054). Before the code.
alter table shipments drop constraint shipments_parcel_key;
alter table labels drop constraint labels_pkey;
drop index labels_order;
alter table labels add primary key (shop, order_number, parcel);

-- A paper in its envelope cannot be made shorter: trying to costs more than all else of writing it.
alter table labels alter column paper set storage external;
