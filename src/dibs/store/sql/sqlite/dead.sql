-- Differs from PostgreSQL: several statements, the first of which says which letters they are for.

-- name: dead_notes
-- The notes of the jobs in :ids, the oldest first.
SELECT job_id, written_at, author, note FROM dibs_notes
WHERE job_id IN (SELECT value FROM json_each(:ids)) ORDER BY id;

-- name: dead_holders
-- Which of :ids are dead letters that died until :until, each with the job that holds its unique
-- key, or NULL, and that key where its time is over, or NULL.
SELECT d.job_id, k.job_id, CASE WHEN k.expires_at <= :now THEN k.key END FROM json_each(:ids) AS i
CROSS JOIN dibs_dead AS d ON d.job_id = i.value AND d.died_at <= :until
CROSS JOIN dibs_jobs AS j ON j.id = d.job_id
LEFT JOIN dibs_keys AS k ON k.key = j.unique_key;

-- name: dead_review
-- Mark the dead letters in :ids that died until :until as reviewed, or, where :reviewed is 0, as not
-- reviewed, and add :note to each, unless it is NULL. Returns their ids.
-- keep: letters
SELECT job_id FROM dibs_dead
WHERE job_id IN (SELECT value FROM json_each(:ids)) AND died_at <= :until;
UPDATE dibs_dead
SET reviewed_at = CASE WHEN :reviewed = 1 THEN :now END, reviewed_by = :author
WHERE job_id IN (SELECT value FROM json_each(:letters));
INSERT INTO dibs_notes (job_id, written_at, author, note)
SELECT value, :now, :author, :note FROM json_each(:letters) WHERE :note IS NOT NULL;
SELECT value FROM json_each(:letters);

-- name: dead_replay
-- Give the dead letters in :ids that died until :until new attempts, with :args where they are not
-- NULL. The oldest starts at :base plus :gap for each of :done replays before, but not in the past,
-- and each other one a :gap later. One whose unique key another job holds stays where it is.
-- Returns id and queue of those that were replayed.
-- keep: letters
SELECT job_id FROM dibs_dead
WHERE job_id IN (SELECT value FROM json_each(:ids)) AND died_at <= :until;
-- The first of several letters with one key takes it.
INSERT INTO dibs_keys (key, job_id, during)
SELECT unique_key, id, unique_during FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:letters)) AND unique_key IS NOT NULL ORDER BY id
ON CONFLICT (key) DO NOTHING;
-- keep: moved
SELECT d.job_id FROM json_each(:letters) AS l
CROSS JOIN dibs_dead AS d ON d.job_id = l.value
CROSS JOIN dibs_jobs AS j ON j.id = d.job_id
LEFT JOIN dibs_keys AS k ON k.key = j.unique_key
WHERE j.unique_key IS NULL OR k.job_id = j.id ORDER BY d.died_at, d.job_id;
UPDATE dibs_jobs AS j
SET attempt = 0, crashes = 0, args = COALESCE(:args, j.args),
    scheduled_at = MAX(:now, :base + (:done + m.key) * :gap)
FROM json_each(:moved) AS m WHERE j.id = m.value;
DELETE FROM dibs_dead WHERE job_id IN (SELECT value FROM json_each(:moved));
INSERT INTO dibs_ready (job_id, queue, priority, scheduled_at)
SELECT id, queue, priority, scheduled_at FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:moved)) AND scheduled_at <= :now AND turn IS NULL;
INSERT INTO dibs_blocked (key, queue, priority, scheduled_at, job_id)
SELECT turn, queue, priority, scheduled_at, id FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:moved)) AND scheduled_at <= :now AND turn IS NOT NULL;
INSERT INTO dibs_arrivals (key, count)
SELECT turn, COUNT(*) FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:moved)) AND scheduled_at <= :now AND turn IS NOT NULL
GROUP BY turn;
INSERT INTO dibs_scheduled (due, job_id)
SELECT scheduled_at, id FROM dibs_jobs
WHERE id IN (SELECT value FROM json_each(:moved)) AND scheduled_at > :now;
SELECT id, queue FROM dibs_jobs WHERE id IN (SELECT value FROM json_each(:moved));

-- name: dead_purge
-- Remove the dead letters in :ids that died until :until, with all that belongs to them. Returns
-- their ids.
-- keep: letters
SELECT job_id FROM dibs_dead
WHERE job_id IN (SELECT value FROM json_each(:ids)) AND died_at <= :until;
DELETE FROM dibs_dead WHERE job_id IN (SELECT value FROM json_each(:letters));
DELETE FROM dibs_jobs WHERE id IN (SELECT value FROM json_each(:letters));
DELETE FROM dibs_attempts WHERE job_id IN (SELECT value FROM json_each(:letters));
DELETE FROM dibs_notes WHERE job_id IN (SELECT value FROM json_each(:letters));
DELETE FROM dibs_effects WHERE job_id IN (SELECT value FROM json_each(:letters));
DELETE FROM dibs_keys WHERE job_id IN (SELECT value FROM json_each(:letters));
SELECT value FROM json_each(:letters);

-- name: dead_relimit
-- Give a dead letter other :limits, and the key under which it waits for its turn: that of its tenant
-- by its new :args, where its queue is fair, and else :turn.
UPDATE dibs_jobs AS j SET limits = :limits, turn = COALESCE((
    SELECT 'fair:' || json_array(q.name, substr(json_extract(:args, '$.' || q.fair_by), 1, 200))
    FROM dibs_queues AS q
    WHERE q.name = j.queue AND q.fair_by IS NOT NULL AND j.priority < q.fair_below
), :turn) WHERE j.id = :id;
