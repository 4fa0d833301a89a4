#!/usr/bin/env bash
# Makes the bundle that deploy/install.sh installs from; `--help` tells the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
[[ -x .venv/bin/python ]] || deploy/bootstrap.sh
exec .venv/bin/python -m deploy.wheelhouse "$@"
