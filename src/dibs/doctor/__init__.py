"""The doctor: looks the database and its workers over, and says what to do."""
