-- Differs from PostgreSQL: the bounds come as JSON, and need no LATERAL to be taken one by one.

-- name: jobs_ahead
-- How many ready jobs of :queue stand before :bounds in their lines, by priority; it stops at
-- :most in all.
SELECT priority, COUNT(*) FROM (
    SELECT r.priority FROM json_each(:bounds) AS b CROSS JOIN dibs_ready AS r
    WHERE r.queue = :queue AND r.priority = json_extract(b.value, '$[0]')
        AND (r.scheduled_at, r.job_id)
            < (json_extract(b.value, '$[1]'), json_extract(b.value, '$[2]'))
    LIMIT :most
) AS ahead GROUP BY priority;
