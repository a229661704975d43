-- Differs from PostgreSQL: a file has pragmas, and nobody but its writers to look after.

-- name: doctor_settings
-- What the file says of itself, by name, as text.
SELECT 'journal_mode', CAST(journal_mode AS TEXT) FROM pragma_journal_mode
UNION ALL
SELECT 'page_size', CAST(page_size AS TEXT) FROM pragma_page_size
UNION ALL
SELECT 'page_count', CAST(page_count AS TEXT) FROM pragma_page_count
UNION ALL
SELECT 'freelist_count', CAST(freelist_count AS TEXT) FROM pragma_freelist_count;

-- name: doctor_holders
-- Nobody: a transaction left open here shows by the size of the -wal file.
SELECT 1 WHERE false;

-- name: doctor_tables
-- None: space is used again at once.
SELECT 1 WHERE false;
