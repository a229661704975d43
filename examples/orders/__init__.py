"""A small shop: its API answers at once and leaves the slow work to jobs."""
