"""The committed stubs are those that the contract yields."""

import subprocess
from pathlib import Path

PROTOS = Path(__file__).parents[2] / "protos"


def test_stubs_regenerate_identically(tmp_path: Path) -> None:
    made = subprocess.run(
        ["bash", PROTOS / "generate.sh", str(tmp_path)], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    committed = {path.name: path.read_text() for path in (PROTOS / "tonnage/v1").glob("*_pb2*")}
    generated = {path.name: path.read_text() for path in (tmp_path / "tonnage/v1").glob("*_pb2*")}
    assert generated == committed, "run: make protos"


def test_every_part_of_the_contract_is_described() -> None:
    """Each message, field, value and call has a comment above it."""
    bare = []
    for path in (PROTOS / "tonnage/v1").glob("*.proto"):
        before = ""
        for number, line in enumerate(path.read_text().splitlines(), 1):
            text = line.strip()
            declares = text.startswith(("message ", "enum ", "service ", "rpc ", "oneof "))
            holds = text.endswith(";") and " = " in text and not text.startswith("syntax")
            if (declares or holds) and not before.startswith("//"):
                bare.append(f"{path.name}:{number}: {text}")
            before = text
    assert bare == []
