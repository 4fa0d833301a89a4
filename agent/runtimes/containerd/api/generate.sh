#!/usr/bin/env bash
# Writes the stubs beside these protos, or below the folder named as argument.
set -euo pipefail
cd "$(dirname "$0")/../../../.."
out=${1:-.}
api=agent/runtimes/containerd/api
PATH="$PWD/.venv/bin:$PATH" python -m grpc_tools.protoc -I . \
  --python_out="$out" --grpc_python_out="$out" --mypy_out="readable_stubs:$out" --mypy_grpc_out="$out" \
  $api/*.proto
# types.proto has no service: its empty service stubs are noise.
rm -f "$out"/$api/types_pb2_grpc.py "$out"/$api/types_pb2_grpc.pyi
