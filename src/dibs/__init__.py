"""dibs: a job queue with priorities on SQLite and PostgreSQL."""
