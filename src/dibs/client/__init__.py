"""The application's side: declaring handlers, enqueueing jobs, looking at them."""
