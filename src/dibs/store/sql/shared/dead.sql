-- name: dead_page
-- Up to :limit dead letters that match, the latest first, from behind (:before_at, :before_id).
-- Returns job_id, reason, died_at, reviewed_at and reviewed_by.
SELECT job_id, reason, died_at, reviewed_at, reviewed_by FROM dibs_letters
WHERE (died_at, job_id) < (:before_at, :before_id)
    AND (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
    AND (CAST(:queue AS TEXT) IS NULL OR queue = :queue)
    AND (CAST(:reason AS TEXT) IS NULL OR reason = :reason)
    AND (CAST(:error AS TEXT) IS NULL OR replace(error, :error, '') <> error)
    AND died_at >= :died_after
    AND (CAST(:reviewed AS INTEGER) IS NULL OR (reviewed_at IS NOT NULL) = (:reviewed = 1))
ORDER BY died_at DESC, job_id DESC LIMIT :limit;

-- name: dead_count
-- How many dead letters match.
SELECT COUNT(*) FROM dibs_letters
WHERE (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
    AND (CAST(:queue AS TEXT) IS NULL OR queue = :queue)
    AND (CAST(:reason AS TEXT) IS NULL OR reason = :reason)
    AND (CAST(:error AS TEXT) IS NULL OR replace(error, :error, '') <> error)
    AND died_at >= :died_after AND died_at < :died_before
    AND (CAST(:reviewed AS INTEGER) IS NULL OR (reviewed_at IS NOT NULL) = (:reviewed = 1));

-- name: dead_find
-- The next :count dead letters behind (:after_at, :after_id), the oldest first, up to those that
-- died at :until. Returns died_at and job_id of each, and 1 where it matches.
-- What does not match is returned too, so that it always looks at the same number of letters.
SELECT died_at, job_id, CASE WHEN
    (CAST(:kind AS TEXT) IS NULL OR kind = :kind)
    AND (CAST(:queue AS TEXT) IS NULL OR queue = :queue)
    AND (CAST(:reason AS TEXT) IS NULL OR reason = :reason)
    AND (CAST(:error AS TEXT) IS NULL OR replace(error, :error, '') <> error)
    AND (CAST(:reviewed AS INTEGER) IS NULL OR (reviewed_at IS NOT NULL) = (:reviewed = 1))
    THEN 1 ELSE 0 END
FROM dibs_letters
WHERE (died_at, job_id) > (:after_at, :after_id) AND died_at <= :until
ORDER BY died_at, job_id LIMIT :count;

-- name: dead_latest
-- When the latest dead letter died, or NULL without one, and the time.
SELECT MAX(died_at), :now FROM dibs_dead;

-- name: dead_get
-- Why and when a job died, and when and by whom that was reviewed.
SELECT job_id, reason, died_at, reviewed_at, reviewed_by FROM dibs_dead WHERE job_id = :id;

-- name: dead_annotate
-- Add a note to a dead letter. Returns its id, or nothing where the job is not dead.
INSERT INTO dibs_notes (job_id, written_at, author, note)
SELECT job_id, :now, CAST(:author AS TEXT), CAST(:note AS TEXT) FROM dibs_dead WHERE job_id = :id
RETURNING job_id;

-- name: dead_uses
-- What a job needs of its limits, as JSON.
SELECT limits FROM dibs_jobs WHERE id = :id;

-- name: dead_rekey
-- Give a dead letter that has the unique key :was another one; it holds none until it is replayed.
UPDATE dibs_jobs SET unique_key = :key WHERE id = :id AND unique_key = :was;
