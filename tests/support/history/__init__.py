"""Histories: what processes and the database say happened, and whether it kept the promises.

`events` names what is told, `log` writes and reads it, `tap` has a worker tell it, `final` asks the
database for its last word, `check` finds what went wrong, `report` sums a scenario up.
"""
