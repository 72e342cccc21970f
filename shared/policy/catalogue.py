"""What the policy asks PostgreSQL's catalogues: roles, doors, settings, tables, columns and grants. No statement reads a row of ours.

What came with the server has an object number below 16384; `public` and what follows it has one from 2200.
"""

from __future__ import annotations

from typing import Final

ROLES: Final = """
    select rolname, concat_ws(', ', case when rolcanlogin then 'can log in' end, case when rolsuper then 'superuser' end,
        case when rolcreatedb then 'creates databases' end, case when rolcreaterole then 'creates roles' end,
        case when rolreplication then 'replicates' end, case when rolbypassrls then 'passes row security' end)
    from pg_roles where oid >= 16384
"""
MEMBERS: Final = """
    select granted.rolname, member.rolname from pg_auth_members join pg_roles granted on granted.oid = roleid
    join pg_roles member on member.oid = pg_auth_members.member where member.oid >= 16384 and member.rolname <> current_user
"""
DATABASES: Final = "select datname, datdba::regrole::text from pg_database where not datistemplate or oid >= 16384"
DOORS: Final = """
    select datname, case when grantee = 0 then 'everybody' else pg_get_userbyid(grantee) end,
        string_agg(privilege_type, ', ' order by privilege_type)
    from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba)))
    where datallowconn and (grantee = 0 or grantee >= 16384) group by 1, 2
"""
OVERRIDES: Final = """
    select coalesce(datname, 'every database'), coalesce(rolname, 'every role'), split_part(line, '=', 1), split_part(line, '=', 2)
    from pg_db_role_setting left join pg_database on pg_database.oid = setdatabase left join pg_roles on pg_roles.oid = setrole,
        unnest(setconfig) line
"""
COPIES: Final = (
    "select 'replication slot', slot_name from pg_replication_slots union all select 'subscription', subname from pg_subscription"
)
TABLES: Final = """
    select relname, case relkind when 'r' then 'table' when 'v' then 'view' when 'm' then 'materialised view' when 'f' then 'foreign table'
        when 'p' then 'partitioned table' end || ' of ' || relowner::regrole::text
    from pg_class where relkind in ('r', 'v', 'm', 'f', 'p') and relnamespace >= 2200 and relnamespace not in (select oid from pg_namespace
        where nspname in ('information_schema', 'pg_catalog') or nspname like 'pg\\_t%')
"""
COLUMNS: Final = """
    select relname, attname, format_type(atttypid, atttypmod) from pg_attribute join pg_class on pg_class.oid = attrelid
    where attnum > 0 and not attisdropped and relkind in ('r', 'v', 'm', 'f', 'p') and relnamespace >= 2200 and relnamespace not in (
        select oid from pg_namespace where nspname in ('information_schema', 'pg_catalog') or nspname like 'pg\\_t%')
"""
GRANTS: Final = """
    select relname, attname, case when grantee = 0 then 'everybody' else pg_get_userbyid(grantee) end,
        string_agg(privilege_type, ', ' order by privilege_type) from (
        select relname, '' as attname, relowner, (aclexplode(relacl)).* from pg_class where relacl is not null and relnamespace >= 2200
        union all select relname, attname, relowner, (aclexplode(attacl)).* from pg_attribute join pg_class on pg_class.oid = attrelid
        where attacl is not null and relnamespace >= 2200
    ) granted where grantee <> relowner and relname not in (
        select table_name from information_schema.tables where table_schema = 'information_schema'
    ) group by 1, 2, 3
"""
SCHEMAS: Final = """
    select nspname, case when grantee = 0 then 'everybody' else pg_get_userbyid(grantee) end,
        string_agg(privilege_type, ', ' order by privilege_type)
    from pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner)))
    where nspname not like 'pg\\_%' and nspname <> 'information_schema' and grantee <> nspowner group by 1, 2
"""
FUNCTIONS: Final = "select proname, prosecdef from pg_proc where oid >= 16384 and pronamespace >= 2200"
EXTENSIONS: Final = "select extname from pg_extension"
LISTENERS: Final = """
    select 'publication', pubname, 'listens in' from pg_publication
    union all select 'trigger', tgname, 'calls ' || proname from pg_trigger join pg_proc on pg_proc.oid = tgfoid where not tgisinternal
    union all select 'event trigger', evtname, 'listens in' from pg_event_trigger
    union all select 'rule', rulename, 'listens in' from pg_rules where schemaname = 'public'
    union all select 'default grant', defaclobjtype::text, 'listens in' from pg_default_acl
    union all select 'foreign server', srvname, 'listens in' from pg_foreign_server
"""
SETTINGS: Final = "select name, setting from pg_settings"
