"""Who may import whom: the arrows of docs/architecture.md, held by walking the imports."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Module or package -> what it may import of this project.
ALLOWED = {
    "errors": set(),
    "common": {"common", "errors"},
    "environment": {"errors"},
    "option_values": {"errors"},
    "options": {"errors", "option_values", "option_checks"},
    "option_checks": set(),
    "kernels": {"kernels"},
    "layers": {"layers", "kernels"},
    "networks": {"networks", "layers"},
    "datasets": {"datasets", "common", "errors"},
    "evaluation": {"evaluation", "errors"},
    "serialization": {"serialization", "errors"},
    "preparation": {"preparation", "common", "datasets", "serialization", "errors"},
    "importing": {"importing", "common", "datasets", "prediction", "serialization", "errors"},
    "inference": {"networks", "layers", "datasets", "serialization", "errors"},
    "export": {"export", "inference", "layers", "datasets", "serialization", "errors"},
    "prediction": {
        *("prediction", "common", "options", "option_values", "inference", "datasets", "evaluation"),
        *("serialization", "errors"),
    },
    "predict": {"prediction", "common", "export", "inference", "serialization", "training", "environment", "errors"},
    "training": {
        *("training", "options", "datasets", "networks", "layers", "kernels", "serialization"),
        *("evaluation", "inference", "environment", "errors"),
    },
    "trainer": {"training", "options", "datasets", "serialization", "errors"},
    "scoring": {
        *("scoring", "common", "inference", "options", "datasets", "evaluation", "serialization"),
        *("environment", "errors"),
    },
    "reporting": {
        *("reporting", "training", "scoring", "options", "datasets", "networks", "layers", "serialization"),
        *("evaluation", "inference", "environment", "errors"),
    },
    "page": {
        *("page", "common", "prediction", "reporting", "inference", "options", "option_values"),
        *("datasets", "evaluation"),
        *("serialization", "errors"),
    },
    "train": {"trainer", "training", "options", "environment"},
    "evaluate_depth": {
        *("scoring", "options", "datasets", "evaluation", "serialization", "environment", "errors"),
    },
    "evaluate_pose": {
        *("inference", "options", "datasets", "evaluation", "serialization", "environment", "errors"),
    },
}
THIRD_PARTY = {
    "errors": set(),
    "common": {"numpy", "cv2", "av", "PIL"},
    "options": set(),
    "option_checks": set(),
    "option_values": {"yaml"},
    "kernels": {"paddle"},
    "layers": {"paddle", "numpy"},
    "networks": {"paddle"},
    "evaluation": {"numpy", "cv2", "scipy"},
    "preparation": {"numpy", "PIL", "requests"},
    "importing": {"numpy", "cv2", "av", "PIL"},
}
STANDARD = set(__import__("sys").stdlib_module_names)
# Inside layers: each may import those to its right.
LAYERS_ORDER = [
    "velocity_loss",
    "self_supervised_loss",
    "view_synthesis",
    "photometric",
    "smoothness",
    "camera_models",
    "geometry",
    "blocks",
]


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, at its top and inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert all(alias.name != "*" for alias in node.names), f"{path}: star import"
            found.add(node.module)
    return found


def files_of(unit: str) -> list[Path]:
    package = ROOT / unit
    return sorted(package.rglob("*.py")) if package.is_dir() else [ROOT / f"{unit}.py"]


def test_every_module_has_its_rule():
    modules = {path.stem for path in ROOT.glob("*.py")}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert modules | packages == set(ALLOWED)


@pytest.mark.parametrize("unit", ALLOWED)
def test_imports_follow_the_arrows(unit):
    for path in files_of(unit):
        tops = {name.split(".")[0] for name in imports(path)}
        ours = tops & set(ALLOWED)
        assert ours <= ALLOWED[unit], f"{path} imports {ours - ALLOWED[unit]}"
        assert not tops & {"tools", "tests"}, f"{path} imports a leaf"
        if unit in THIRD_PARTY:
            foreign = tops - STANDARD - set(ALLOWED)
            assert foreign <= THIRD_PARTY[unit], f"{path} imports {foreign - THIRD_PARTY[unit]}"


def test_inside_layers_imports_go_one_way():
    for path in files_of("layers"):
        for name in imports(path):
            if name.startswith("layers.") and path.stem in LAYERS_ORDER:
                assert LAYERS_ORDER.index(name.split(".")[1]) > LAYERS_ORDER.index(path.stem)


def test_of_datasets_batches_alone_know_paddle():
    """The processes that load, decode and draw import the others."""
    for path in files_of("datasets"):
        names = imports(path)
        assert ("paddle" in {name.split(".")[0] for name in names}) == (path.name == "batch.py"), path
        assert "datasets.batch" not in names, path


def test_datasets_and_layers_know_no_cycle():
    """No package imports one that imports it."""
    for unit, allowed in ALLOWED.items():
        for other in allowed - {unit}:
            assert unit not in ALLOWED[other], f"{unit} and {other} may import each other"


def test_of_the_page_its_interface_alone_knows_gradio():
    for path in files_of("page"):
        assert ("gradio" in {name.split(".")[0] for name in imports(path)}) == (path.name == "interface.py"), path
