"""Help for testing code that uses dibs: a private, real PostgreSQL server."""

from dibs.testing.postgres import PostgresCluster

__all__ = ["PostgresCluster"]
