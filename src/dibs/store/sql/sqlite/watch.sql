-- Only here: PostgreSQL tells by NOTIFY what SQLite has to be asked.

-- name: watch_probe
-- Whether a line of :queues with a priority from :lowest to :highest has a ready job, and when the
-- next scheduled job is due.
SELECT
    EXISTS (
        SELECT 1 FROM json_each(:queues) AS q CROSS JOIN dibs_ready AS r
        ON r.queue = q.value AND r.priority BETWEEN :lowest AND :highest
    ),
    (SELECT MIN(due) FROM dibs_scheduled);
