-- name: limit_due
-- Up to :count keys that are to be looked at.
SELECT key FROM dibs_limit_keys WHERE wake_at <= :now ORDER BY wake_at LIMIT :count;

-- name: limit_look
-- 1 where there are arrivals, else 0; and the microseconds until a key is to be looked at, negative
-- when that is overdue, NULL without one.
SELECT CASE WHEN EXISTS (SELECT 1 FROM dibs_arrivals) THEN 1 ELSE 0 END,
    (SELECT MIN(wake_at) FROM dibs_limit_keys WHERE wake_at IS NOT NULL) - :now;

-- name: limit_configure
-- Set the rule of a limit.
INSERT INTO dibs_limits (name, configured, updated_at) VALUES (:name, :configured, :now)
ON CONFLICT (name) DO UPDATE
SET configured = excluded.configured, updated_at = excluded.updated_at;

-- name: limit_reset
-- Return a limit to the declared rule, if another is configured.
UPDATE dibs_limits SET configured = NULL, updated_at = :now
WHERE name = :name AND configured IS NOT NULL;

-- name: limit_get
-- A limit with its rule, if it ever had one.
SELECT name, rule, declared, configured, updated_at FROM dibs_limits WHERE name = :name;

-- name: limit_list
-- The limits that have a rule, or had one, by name.
SELECT name, rule, declared, configured, updated_at FROM dibs_limits ORDER BY name;
