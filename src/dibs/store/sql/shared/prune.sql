-- name: key_over
-- 1 where there is a key whose time is over, else 0.
SELECT CASE WHEN EXISTS (SELECT 1 FROM dibs_keys WHERE expires_at <= :now) THEN 1 ELSE 0 END;

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
