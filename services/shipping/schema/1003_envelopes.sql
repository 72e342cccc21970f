-- Recipients and labels stand in envelopes under keys of their own. Before the code.
--
-- What older releases kept was sealed to the service's intake key. It is not carried over: those keys go within a week, and whoever upgrades lets
-- open orders end first (docs/operations.md).
alter table labels add column paper jsonb, drop column key_id, drop column box;
