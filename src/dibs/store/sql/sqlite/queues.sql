-- Differs from PostgreSQL: the rows come as JSON.

-- name: queue_declare
-- Store the policies that code declares, where they differ from what it declared before.
INSERT INTO dibs_queues (name, declared, updated_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), :now FROM json_each(:queues)
WHERE true
ON CONFLICT (name) DO UPDATE SET declared = excluded.declared, updated_at = excluded.updated_at
WHERE declared IS NOT excluded.declared;
