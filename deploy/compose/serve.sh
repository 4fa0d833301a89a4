#!/bin/sh
# Serves, with the database's password out of a file: no address, argument or log has it. All else
# is the environment, TONNAGE_COLLECTOR_*.
set -eu
PGPASSWORD=$(cat "${POSTGRES_PASSWORD_FILE:-/run/secrets/postgres.password}")
export PGPASSWORD
exec "${TONNAGE:-tonnage}" serve "$@"
