-- name: claim_held
-- One row where the job :id still runs for :worker under :claim.
SELECT 1 FROM dibs_running WHERE job_id = :id AND claim = :claim AND worker = :worker;

-- name: effect_take
-- Mark the block :name of the job :id as done. Returns a row, unless it was marked before.
INSERT INTO dibs_effects (job_id, name, done_at) VALUES (:id, :name, :now)
ON CONFLICT (job_id, name) DO NOTHING RETURNING job_id;

-- name: effect_get
-- The result of a block that was done before.
SELECT result FROM dibs_effects WHERE job_id = :id AND name = :name;

-- name: effect_keep
-- Keep the result of a block.
UPDATE dibs_effects SET result = :result WHERE job_id = :id AND name = :name;

-- name: effect_undo
-- Take the mark of a block back.
DELETE FROM dibs_effects WHERE job_id = :id AND name = :name;
