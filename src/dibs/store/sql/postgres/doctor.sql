-- Differs from SQLite: the server's own statistics and settings.

-- name: doctor_settings
-- What the server says of itself, by name, as text; sees_all is off where the sessions of other
-- users are hidden.
SELECT 'autovacuum', current_setting('autovacuum')
UNION ALL
SELECT 'track_counts', current_setting('track_counts')
UNION ALL
SELECT 'sees_all',
    CASE WHEN pg_has_role('pg_read_all_stats', 'MEMBER') THEN 'on' ELSE 'off' END
UNION ALL
SELECT 'size', pg_database_size(current_database())::text
UNION ALL
SELECT 'connections', COUNT(*)::text FROM pg_stat_activity WHERE backend_type = 'client backend'
UNION ALL
SELECT 'connections_most', (
    current_setting('max_connections')::integer
    - current_setting('superuser_reserved_connections')::integer
    - COALESCE(current_setting('reserved_connections', true)::integer, 0)
)::text;

-- name: doctor_holders
-- What holds back the clean-up of this database's tables, the oldest first: transactions,
-- prepared transactions, replication slots, standbys that report what they read.
SELECT 'session' AS what, pid::text AS name, COALESCE(NULLIF(application_name, ''), usename, '')
    AS who, COALESCE(state, '') AS state,
    (extract(epoch FROM clock_timestamp() - xact_start) * 1000000)::bigint AS age,
    GREATEST(age(backend_xmin), age(backend_xid))::bigint AS transactions
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND backend_type = 'client backend'
    AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
UNION ALL
SELECT 'prepared', gid, owner, 'prepared',
    (extract(epoch FROM clock_timestamp() - prepared) * 1000000)::bigint,
    age(transaction)::bigint
FROM pg_prepared_xacts WHERE database = current_database()
UNION ALL
SELECT 'slot', slot_name, slot_type, CASE WHEN active THEN 'active' ELSE 'inactive' END,
    NULL, age(xmin)::bigint
FROM pg_replication_slots WHERE xmin IS NOT NULL
UNION ALL
SELECT 'standby', pid::text, application_name, COALESCE(state, ''), NULL,
    age(backend_xmin)::bigint
FROM pg_stat_replication WHERE backend_xmin IS NOT NULL
ORDER BY transactions DESC NULLS LAST, age DESC NULLS LAST;

-- name: doctor_tables
-- How many rows live and how many are dead in each table of dibs, as the server estimates, and
-- whether autovacuum may clean it.
SELECT s.relname::text, s.n_live_tup, s.n_dead_tup, NOT EXISTS (
    SELECT 1 FROM pg_options_to_table(c.reloptions) AS o
    WHERE o.option_name = 'autovacuum_enabled' AND NOT o.option_value::boolean
)
FROM pg_stat_user_tables AS s JOIN pg_class AS c ON c.oid = s.relid
WHERE starts_with(s.relname::text, 'dibs_') AND pg_table_is_visible(s.relid)
ORDER BY s.n_dead_tup DESC, s.relname;
