"""Enforce the dependency rules of docs/architecture.md on all imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Top-level module or package -> the modules and packages of the project that it may import.
ALLOWED = {
    "common": set(),
    "options": {"common"},
    "layers": {"common"},
    "serialization": {"common"},
    "networks": {"layers", "common"},
    "datasets": {"serialization", "options", "common"},
    "evaluation": {"datasets", "serialization", "options", "common"},
    "inference": {"networks", "layers", "datasets", "serialization", "evaluation", "options", "common"},
    "training": {
        *("inference", "networks", "layers", "datasets", "serialization", "evaluation", "options", "common"),
    },
    "trainer": {"training", "inference", "layers", "datasets", "serialization", "options", "common"},
    "train": {"trainer", "training", "options", "common"},
    "evaluate_depth": {"inference", "datasets", "evaluation", "serialization", "options", "common"},
    "evaluate_pose": {"inference", "datasets", "evaluation", "serialization", "options", "common"},
    "predict": {"inference", "layers", "serialization", "options", "common"},
}
LEAVES = {"tools", "tests", "train"}
# Package or subpackage -> the third-party packages that it may import.
THIRD_PARTY = {
    "common": {"numpy", "cv2", "PIL", "av", "yaml", "paddle", "tqdm", "requests", "urllib3"},
    "options": set(),
    "layers": {"paddle", "numpy"},
    "networks": {"paddle"},
    "evaluation": {"numpy", "cv2", "scipy", "matplotlib"},
    "evaluation/metrics": {"numpy", "cv2", "scipy"},
    "tools/kitti": {"numpy", "PIL"},
    "tools/video_import": {"numpy", "cv2", "av", "PIL"},
}
STANDARD = set(sys.stdlib_module_names)
# Within layers, each module may import those to its right.
LAYERS_ORDER = [
    "self_supervised_loss",
    "depth_supervision",
    "velocity_loss",
    "depth_hint_loss",
    "pseudo_label_loss",
    "smoothness",
    "reprojection_loss",
    "loss_term",
    "view_synthesis",
    "photometric",
    "camera_models",
    "geometry",
    "blocks",
]


def imports(path: Path) -> set[str]:
    """Return the full names of all modules that a file imports, including imports inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert all(alias.name != "*" for alias in node.names), f"{path}: star import"
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def files_of(unit: str) -> list[Path]:
    package = ROOT / unit
    return sorted(package.rglob("*.py")) if package.is_dir() else [ROOT / f"{unit}.py"]


def top_levels(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def test_every_module_has_a_rule():
    modules = {path.stem for path in ROOT.glob("*.py")}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert modules | packages == {*ALLOWED, "tools"}


@pytest.mark.parametrize("unit", ALLOWED)
def test_imports_follow_the_dependencies(unit):
    for path in files_of(unit):
        ours = top_levels(path) & {*ALLOWED, "tools"} - {unit}
        assert ours <= ALLOWED[unit], f"{path} imports {ours - ALLOWED[unit]}"
        assert not ours & LEAVES, f"{path} imports a leaf"


@pytest.mark.parametrize("unit", THIRD_PARTY)
def test_third_party_imports_follow_the_rules(unit):
    for path in files_of(unit):
        foreign = top_levels(path) - STANDARD - {*ALLOWED, "tools"}
        assert foreign <= THIRD_PARTY[unit], f"{path} imports {foreign - THIRD_PARTY[unit]}"


@pytest.mark.parametrize(
    ("module", "late"),
    [
        ("predict", {"paddle", "av", "scipy", "matplotlib", "h5py", "onnxruntime", "visualdl"}),
        ("inference.depth_predictor", {"av", "scipy", "matplotlib", "h5py", "onnxruntime", "visualdl"}),
        ("evaluate_depth", {"paddle", "av", "matplotlib", "h5py", "visualdl"}),
    ],
)
def test_slow_packages_are_imported_where_they_are_used(module, late):
    command = [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert not late.intersection(loaded)


def test_dependencies_have_no_cycle():
    for unit, allowed in ALLOWED.items():
        for other in allowed:
            assert unit not in ALLOWED[other], f"{unit} and {other} may import each other"


def test_commands_in_tools_import_no_entry_script():
    for path in files_of("tools"):
        ours = top_levels(path) & {"train", "evaluate_depth", "evaluate_pose", "predict"}
        assert not ours, f"{path} imports {ours}"


def test_metrics_import_no_other_package_of_the_project():
    for path in files_of("evaluation/metrics"):
        ours = {name for name in imports(path) if name.split(".")[0] in {*ALLOWED, "tools"}}
        assert all(name.startswith("evaluation.metrics") for name in ours), f"{path} imports {ours}"


def test_layers_import_in_one_direction():
    for path in files_of("layers"):
        for name in imports(path):
            module = name.split(".")[1] if name.startswith("layers.") else None
            if module in LAYERS_ORDER and path.stem in LAYERS_ORDER:
                assert LAYERS_ORDER.index(module) > LAYERS_ORDER.index(path.stem)


def test_only_batch_imports_paddle_in_datasets():
    """Loader workers import the other modules and must start quickly."""
    for path in files_of("datasets"):
        assert ("paddle" in top_levels(path)) == (path.name == "batch.py"), path
        assert "datasets.batch" not in imports(path), path


def test_only_the_interface_imports_gradio_in_the_demo():
    for path in files_of("tools/demo"):
        assert ("gradio" in top_levels(path)) == (path.name == "interface.py"), path
