-- name: history_oldest
-- When the first job of each queue and state ended that the history holds, NULL where none did.
-- A loose index scan, from each queue to the next.
WITH RECURSIVE line (queue) AS (
    SELECT MIN(queue) FROM dibs_history
    UNION ALL
    SELECT (SELECT MIN(h.queue) FROM dibs_history AS h WHERE h.queue > line.queue)
    FROM line WHERE line.queue IS NOT NULL
)
SELECT line.queue, ended.state, (
    SELECT MIN(h.finished_at) FROM dibs_history AS h
    WHERE h.queue = line.queue AND h.state = ended.state
)
FROM line CROSS JOIN (SELECT 'completed' AS state UNION ALL SELECT 'cancelled') AS ended
WHERE line.queue IS NOT NULL;

-- name: history_beyond
-- The latest job of a queue and state that is too many, where :keep are kept: when it ended, and its
-- id; nothing where all may stay.
SELECT finished_at, id FROM dibs_history WHERE queue = :queue AND state = :state
ORDER BY finished_at DESC, id DESC LIMIT 1 OFFSET :keep;

-- name: history_find
-- Up to :count jobs of a queue and state that ended from :after to :until, those that ended then up
-- to the id :last, the first ones first. Returns id and finished_at.
SELECT id, finished_at FROM dibs_history
WHERE queue = :queue AND state = :state AND finished_at >= :after AND finished_at <= :until
    AND (finished_at < :until OR id <= :last)
ORDER BY finished_at LIMIT :count;

-- name: dead_crowd
-- Up to :count dead letters of a queue that are too many, where the latest :keep are kept.
SELECT job_id FROM dibs_letters WHERE queue = :queue
ORDER BY died_at DESC, job_id DESC LIMIT :count OFFSET :keep;

-- name: prune_over
-- 1 where there is a key whose time is over, and 1 where counters tell of minutes before :before
-- that were not added up; else 0.
SELECT
    CASE WHEN EXISTS (SELECT 1 FROM dibs_keys WHERE expires_at <= :now) THEN 1 ELSE 0 END,
    CASE WHEN EXISTS (SELECT 1 FROM dibs_counters WHERE minute > 0 AND minute < :before)
        THEN 1 ELSE 0 END;

-- name: traces_find
-- The next :count jobs behind the id :after that have notes or effects, in the order of their ids,
-- each with 1 where the job has left for good, else 0.
SELECT t.job_id, CASE WHEN EXISTS (SELECT 1 FROM dibs_jobs AS j WHERE j.id = t.job_id)
    THEN 0 ELSE 1 END
FROM (
    SELECT job_id FROM (
        SELECT DISTINCT job_id FROM dibs_effects WHERE job_id > :after
        ORDER BY job_id LIMIT :count
    ) AS effect
    UNION ALL
    SELECT job_id FROM (
        SELECT DISTINCT job_id FROM dibs_notes WHERE job_id > :after ORDER BY job_id LIMIT :count
    ) AS note
) AS t GROUP BY t.job_id ORDER BY t.job_id LIMIT :count;
