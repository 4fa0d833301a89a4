"""What the wheel holds."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_has_three_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/", 1)[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {
        "agent",
        "collector",
        "tonnage",
    }


def test_the_wheel_carries_the_experiment_of_the_demo(wheel: zipfile.ZipFile) -> None:
    shipped = wheel.read("collector/experiments/quick-compare.yaml").decode()
    assert shipped == (ROOT / "experiments/quick-compare.yaml").read_text()


def test_the_wheel_cannot_be_uploaded_by_accident(wheel: zipfile.ZipFile) -> None:
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    assert "Classifier: Private :: Do Not Upload" in wheel.read(metadata).decode()


def test_the_wheel_has_both_commands_and_its_types(wheel: zipfile.ZipFile) -> None:
    (scripts,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "tonnage = collector.cli.main:main" in wheel.read(scripts).decode()
    assert "tonnage-agent = agent.app:main" in wheel.read(scripts).decode()
    assert "tonnage/py.typed" in wheel.namelist()
