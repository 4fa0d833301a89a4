#!/bin/sh
# Makes what compose.yaml mounts as secrets, in a folder that its owner alone can open: the
# authority with certificates of collector and operator, what Prometheus needs of it, passwords.
# What is there already stays.
#
#   deploy/compose/prepare.sh [FOLDER]     TONNAGE names the command, else it is .venv/bin/tonnage
#
# As root: the collector in its container is the user 10001, and must be able to read its key.
set -eu
cd "$(dirname "$0")"
folder=${1:-$PWD/secrets}
tonnage=${TONNAGE:-$PWD/../../.venv/bin/tonnage}
collector=10001

umask 077
mkdir -p "$folder"
[ -e "$folder/pki/ca.pem" ] || "$tonnage" pki init --dir "$folder/pki" --operator operator
# The collector would make its scrape token when it first starts; Prometheus is to have it by then.
for name in postgres.password grafana-reader.password grafana-admin.password pki/scrape.token; do
	[ -s "$folder/$name" ] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$folder/$name"
done
cp "$folder/pki/ca.pem" "$folder/tonnage-ca.pem"
head -n 1 "$folder/pki/scrape.token" >"$folder/tonnage.token"

# Each is mounted by itself, for the user of its container: within the folder, which is shut to
# others on this host, they can be read.
chmod 0444 "$folder"/*.password "$folder/tonnage-ca.pem" "$folder/tonnage.token"
if [ "$(id -u)" = 0 ]; then
	chown -R "$collector:$collector" "$folder/pki"
else
	echo "prepare: give $folder/pki to the collector's user: sudo chown -R $collector:$collector $folder/pki" >&2
fi
