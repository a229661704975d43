"""The worker: fetch, run and settle jobs as a pipeline in one event loop."""
