-- name: slot_take
-- Take a slot under :key, which is locked, for a block of the handler of job :id under :claim.
-- Returns its part.
INSERT INTO dibs_slots (key, job_id, part, claim)
SELECT :key, :id, COALESCE(MAX(part), 0) + 1, :claim FROM dibs_slots
WHERE key = :key AND job_id = :id
RETURNING part;

-- name: slot_own
-- One row where the job :id holds a slot under :key for as long as it runs.
SELECT 1 FROM dibs_slots WHERE key = :key AND job_id = :id AND part = 0;

-- name: slot_free
-- Give the slot :part of a block back. Returns its key, and its untaken lines,
-- unless the end of the attempt was quicker.
DELETE FROM dibs_slots WHERE key = :key AND job_id = :id AND part = :part AND claim = :claim
RETURNING key, (SELECT k.untaken FROM dibs_limit_keys AS k WHERE k.key = :key);

-- name: limit_keys
-- Up to :most keys of a limit.
SELECT key FROM dibs_limit_keys WHERE name = :name ORDER BY key LIMIT :most;

-- name: blocked_key
-- The key under which the job :id waits for its turn.
SELECT key FROM dibs_blocked WHERE job_id = :id;
