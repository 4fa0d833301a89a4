"""The store for when one machine's SQLite is outgrown: PostgreSQL, or what speaks its protocol."""
