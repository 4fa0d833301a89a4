#!/bin/sh
# Runs once, when PostgreSQL makes its database: a user for Grafana, who can read and nothing else.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
	--set=password="$(cat "${READER_PASSWORD_FILE:-/run/secrets/grafana-reader.password}")" <<-'SQL'
	CREATE ROLE reader LOGIN PASSWORD :'password';
	GRANT pg_read_all_data TO reader;
	ALTER ROLE reader SET default_transaction_read_only = on;
	ALTER ROLE reader SET statement_timeout = '30s';
SQL
