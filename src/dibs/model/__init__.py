"""What a job is and what may happen to it: pure values and decisions, no I/O, time as an argument."""
