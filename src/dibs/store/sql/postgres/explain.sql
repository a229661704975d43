-- Differs from SQLite: the bounds come as arrays, and a LATERAL keeps each line to its index range.

-- name: jobs_ahead
-- How many ready jobs of :queue stand before :bounds in their lines, by priority; it stops at
-- :most in all. The inner LIMIT keeps the planner from a join with the whole table.
SELECT priority, count(*) FROM (
    SELECT h.priority FROM unnest(
        :bounds_priority::smallint[], :bounds_scheduled_at::bigint[], :bounds_job_id::bigint[]
    ) AS b (priority, scheduled_at, job_id)
    CROSS JOIN LATERAL (
        SELECT r.priority FROM dibs_ready AS r
        WHERE r.queue = :queue AND r.priority = b.priority
            AND (r.scheduled_at, r.job_id) < (b.scheduled_at, b.job_id)
        ORDER BY r.queue, r.priority DESC, r.scheduled_at, r.job_id LIMIT :most
    ) AS h
    LIMIT :most
) AS ahead GROUP BY priority;
