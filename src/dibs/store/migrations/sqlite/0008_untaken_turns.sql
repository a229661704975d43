-- Turns that nobody takes: of a line that no worker serves, that is paused, or whose workers are busy.

-- offered_at: since when there is room under a key, and those who got a turn have not taken it, though
-- others wait. untaken: the lines that did not take theirs, as JSON, [[queue, priority], ...]: others
-- come first until one of their jobs is claimed. NULL where all is well.
ALTER TABLE dibs_limit_keys ADD COLUMN offered_at INTEGER;
ALTER TABLE dibs_limit_keys ADD COLUMN untaken TEXT;
