"""Loops that every worker runs beside its jobs; any number of workers may run them at once."""
