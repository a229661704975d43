-- name: pause_set
-- Pause the queue or kind :name until :until, for :lasting microseconds, or, where both are NULL,
-- until it is resumed. One that is paused stays so since when it was.
INSERT INTO dibs_pauses (what, name, reason, paused_by, paused_at, until)
VALUES (
    :what, :name, :reason, :author, :now,
    COALESCE(CAST(:until AS BIGINT), :now + CAST(:lasting AS BIGINT))
)
ON CONFLICT (what, name) DO UPDATE SET
    reason = excluded.reason, paused_by = excluded.paused_by, until = excluded.until,
    paused_at = CASE WHEN dibs_pauses.until <= :now THEN excluded.paused_at
        ELSE dibs_pauses.paused_at END;

-- name: pause_end
-- Resume the queue or kind :name, and drop the pauses whose time is over.
DELETE FROM dibs_pauses WHERE (what = :what AND name = :name) OR until <= :now;

-- name: pause_get
-- The pause of the queue or kind :name, if it is paused now.
SELECT what, name, paused_at, until, paused_by, reason FROM dibs_pauses
WHERE what = :what AND name = :name AND (until IS NULL OR until > :now);

-- name: pause_list
-- What is paused now, kinds first, by name.
SELECT what, name, paused_at, until, paused_by, reason FROM dibs_pauses
WHERE until IS NULL OR until > :now ORDER BY what, name;
