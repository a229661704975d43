-- Differs from SQLite: the rows come as arrays.

-- name: queue_declare
-- Store the policies that code declares, where they differ from what it declared before.
INSERT INTO dibs_queues AS q (name, declared, updated_at)
SELECT name, declared, :now FROM unnest(:queues_name::text[], :queues_declared::text[])
    AS d (name, declared)
ON CONFLICT (name) DO UPDATE SET declared = excluded.declared, updated_at = excluded.updated_at
WHERE q.declared IS DISTINCT FROM excluded.declared;
