-- Only here: PostgreSQL tells by NOTIFY what SQLite has to be asked.

-- name: watch_probe
-- Whether a line of :queues with a priority from :lowest to :highest has a ready job, or a tenant
-- waits there for its turn, and the queue is not paused, or something has come in that waits for its
-- turn; and when the next scheduled job is due.
SELECT
    (SELECT MIN(id) FROM dibs_arrivals) IS NOT NULL OR EXISTS (
        SELECT 1 FROM json_each(:queues) AS q
        WHERE q.value NOT IN (
            SELECT name FROM dibs_pauses WHERE what = 'queue' AND (until IS NULL OR until > :now)
        ) AND (
            EXISTS (
                SELECT 1 FROM dibs_ready AS r
                WHERE r.queue = q.value AND r.priority BETWEEN :lowest AND :highest
            ) OR EXISTS (SELECT 1 FROM dibs_tenants AS t WHERE t.queue = q.value)
        )
    ),
    (SELECT MIN(due) FROM dibs_scheduled);
