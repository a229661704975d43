"""Why is this job not running? The answer as data, and in plain words."""
