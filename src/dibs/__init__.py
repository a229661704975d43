"""dibs: the job queue in the database you already have; the most urgent job has first dibs."""
