#!/usr/bin/env bash
# Writes the stubs beside the contract, or below the folder named as argument.
set -euo pipefail
cd "$(dirname "$0")"
out=${1:-.}
bin=$(cd .. && pwd)/.venv/bin
PATH="$bin:$PATH" python -m grpc_tools.protoc -I . \
  --python_out="$out" --grpc_python_out="$out" --mypy_out="readable_stubs:$out" --mypy_grpc_out="$out" \
  tonnage/v1/model.proto tonnage/v1/agent.proto tonnage/v1/collector.proto
# model.proto has no service: its empty service stubs are noise.
rm -f "$out"/tonnage/v1/model_pb2_grpc.py "$out"/tonnage/v1/model_pb2_grpc.pyi
