-- Differs from SQLite: one statement each, with the ids as an array. Letters are locked in the order
-- of their ids, and keys taken in their own, so that two who change many wait, and never deadlock.

-- name: dead_notes
-- The notes of the jobs in :ids, the oldest first.
SELECT job_id, written_at, author, note FROM dibs_notes
WHERE job_id = ANY (:ids::bigint[]) ORDER BY id;

-- name: dead_holders
-- Which of :ids are dead letters that died until :until, each with the job that holds its unique
-- key, or NULL, and that key where its time is over, or NULL.
SELECT d.job_id, k.job_id, CASE WHEN k.expires_at <= :now THEN k.key END FROM dibs_dead AS d
JOIN dibs_jobs AS j ON j.id = d.job_id
LEFT JOIN dibs_keys AS k ON k.key = j.unique_key
WHERE d.job_id = ANY (:ids::bigint[]) AND d.died_at <= :until;

-- name: dead_review
-- Mark the dead letters in :ids that died until :until as reviewed, or, where :reviewed is 0, as not
-- reviewed, and add :note to each, unless it is NULL. Returns their ids.
WITH letter AS MATERIALIZED (
    SELECT job_id FROM dibs_dead WHERE job_id = ANY (:ids::bigint[]) AND died_at <= :until
    ORDER BY job_id FOR UPDATE
), marked AS (
    UPDATE dibs_dead
    SET reviewed_at = CASE WHEN :reviewed = 1 THEN :now END, reviewed_by = :author::text
    WHERE job_id = ANY (ARRAY(SELECT job_id FROM letter)) RETURNING job_id
), noted AS (
    INSERT INTO dibs_notes (job_id, written_at, author, note)
    SELECT job_id, :now, :author::text, :note::text FROM marked WHERE :note::text IS NOT NULL
    ORDER BY job_id
)
SELECT job_id FROM marked;

-- name: dead_replay
-- Give the dead letters in :ids that died until :until new attempts, with :args where they are not
-- NULL. The oldest starts at :base plus :gap for each of :done replays before, but not in the past,
-- and each other one a :gap later. One whose unique key another job holds stays where it is.
-- Returns id and queue of those that were replayed.
WITH letter AS MATERIALIZED (
    SELECT job_id FROM dibs_dead WHERE job_id = ANY (:ids::bigint[]) AND died_at <= :until
    ORDER BY job_id FOR UPDATE
), job AS MATERIALIZED (
    SELECT id, unique_key, unique_during FROM dibs_jobs
    WHERE id = ANY (ARRAY(SELECT job_id FROM letter))
), taken AS (
    -- The first of several letters with one key takes it. In the order of key_take, which also says
    -- why a key that is held must not be locked.
    INSERT INTO dibs_keys (key, job_id, during)
    SELECT unique_key, id, unique_during FROM job
    WHERE unique_key IS NOT NULL ORDER BY unique_key COLLATE "C", id
    ON CONFLICT (key) DO NOTHING RETURNING job_id
), moved AS (
    DELETE FROM dibs_dead WHERE job_id = ANY (ARRAY(
        SELECT id FROM job WHERE unique_key IS NULL UNION ALL SELECT job_id FROM taken
    )) RETURNING job_id, died_at
), place AS MATERIALIZED (
    SELECT job_id, row_number() OVER (ORDER BY died_at, job_id) - 1 AS n FROM moved
), alive AS (
    UPDATE dibs_jobs AS j
    SET attempt = 0, crashes = 0, args = COALESCE(:args::json, j.args),
        scheduled_at = GREATEST(:now, :base::bigint + (:done::bigint + p.n) * :gap::bigint)
    FROM place AS p
    WHERE j.id = ANY (ARRAY(SELECT job_id FROM moved)) AND p.job_id = j.id
    RETURNING j.id, j.queue, j.priority, j.scheduled_at, j.turn
), ready AS (
    INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
    SELECT id, queue, priority, scheduled_at FROM alive WHERE scheduled_at <= :now AND turn IS NULL
), blocked AS (
    INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
    SELECT turn, queue, priority, scheduled_at, id FROM alive
    WHERE scheduled_at <= :now AND turn IS NOT NULL
    RETURNING key
), arrival AS (
    INSERT INTO dibs_arrivals (key, count) SELECT key, count(*) FROM blocked GROUP BY key
), scheduled AS (
    INSERT INTO dibs_scheduled (due, job_id)
    SELECT scheduled_at, id FROM alive WHERE scheduled_at > :now
)
SELECT id, queue FROM alive;

-- name: dead_purge
-- Remove the dead letters in :ids that died until :until, with all that belongs to them. Returns
-- their ids.
WITH letter AS MATERIALIZED (
    SELECT job_id FROM dibs_dead WHERE job_id = ANY (:ids::bigint[]) AND died_at <= :until
    ORDER BY job_id FOR UPDATE
), gone AS (
    DELETE FROM dibs_dead WHERE job_id = ANY (ARRAY(SELECT job_id FROM letter)) RETURNING job_id
), job AS (
    DELETE FROM dibs_jobs WHERE id = ANY (ARRAY(SELECT job_id FROM gone))
), attempt AS (
    DELETE FROM dibs_attempts WHERE job_id = ANY (ARRAY(SELECT job_id FROM gone))
), note AS (
    DELETE FROM dibs_notes WHERE job_id = ANY (ARRAY(SELECT job_id FROM gone))
), effect AS (
    DELETE FROM dibs_effects WHERE job_id = ANY (ARRAY(SELECT job_id FROM gone))
), key AS (
    DELETE FROM dibs_keys WHERE job_id = ANY (ARRAY(SELECT job_id FROM gone))
)
SELECT job_id FROM gone;

-- name: dead_relimit
-- Give a dead letter other :limits, and the key under which it waits for its turn: that of its tenant
-- by its new :args, where its queue is fair, and else :turn.
UPDATE dibs_jobs AS j SET limits = :limits, turn = COALESCE((
    SELECT 'fair:' || json_build_array(q.name, left(:args::json ->> q.fair_by, 200))::text
    FROM dibs_queues AS q
    WHERE q.name = j.queue AND q.fair_by IS NOT NULL AND j.priority < q.fair_below
), :turn) WHERE j.id = :id;
