"""Only ``common.images`` and ``common.video`` open images and videos, since they reject unsafe files."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OPENERS = {ROOT / "common" / name for name in ("images.py", "video.py", "video_writer.py")}
FORBIDDEN = {"Image.open", "PIL.Image.open", "cv2.imread", "cv2.imreadmulti", "av.open", "iio.imread", "plt.imread"}
CALLED = {name.rpartition(".")[2] for name in FORBIDDEN}
FORBIDDEN_MODULES = {"imageio", "imageio_ffmpeg", "moviepy", "decord", "ffmpeg"}
FORBIDDEN_NAMES = {"PIL.Image": {"open"}, "av": {"open"}, "cv2": {"imread", "imreadmulti", "VideoCapture"}}


def called_name(call: ast.Call) -> str:
    """Return the last part of the name that is called; empty for other expressions."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def offences(code: str) -> list[str]:
    """List the calls and imports that only the openers may use."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and node.attr in CALLED and ast.unparse(node) in FORBIDDEN:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in FORBIDDEN_MODULES]
            found += [
                f"{alias.name} as {alias.asname}"
                for alias in node.names
                if alias.name in ("av", "cv2") and alias.asname
            ]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module] if node.module.split(".")[0] in FORBIDDEN_MODULES else []
            found += [f"{node.module}.{a.name}" for a in node.names if a.name in FORBIDDEN_NAMES.get(node.module, ())]
            found += [
                f"Image as {a.asname}" for a in node.names if (node.module, a.name) == ("PIL", "Image") and a.asname
            ]
        elif isinstance(node, ast.Call) and called_name(node) == "VideoCapture":
            argument = node.args[0] if node.args else None
            is_number = isinstance(argument, ast.Constant) and isinstance(argument.value, int)
            if not is_number and not (isinstance(argument, ast.Call) and ast.unparse(argument.func) == "int"):
                found.append(ast.unparse(node))
    return found


def test_only_openers_open_files():
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name != "tests" and path.name[0] != "."]
    paths = [*ROOT.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))]
    for path in paths:
        if path in OPENERS or "site-packages" in path.parts:
            continue
        assert not offences(path.read_text(encoding="utf-8")), f"{path}: use common.images or common.video"


def test_openers_pass_only_numbers_to_video_capture():
    for path in OPENERS:
        assert not [found for found in offences(path.read_text(encoding="utf-8")) if "VideoCapture" in found]


@pytest.mark.parametrize(
    "code",
    [
        "from PIL import Image\nImage.open(p)", "import PIL.Image\nPIL.Image.open(p)", "from PIL.Image import open",
        "cv2.imread(p)", "import av\nav.open(p)", "from av import open", "import imageio_ffmpeg", "import av as x",
        "cv2.VideoCapture(path)", "from cv2 import imread", "opener = Image.open", "from PIL import Image as I",
    ],
)  # fmt: skip
def test_offences_are_found(code):
    assert offences(code)


def test_cameras_by_number_are_allowed():
    assert not offences("cv2.VideoCapture(0)\ncv2.VideoCapture(int(n))\nwith open(p) as s: pass")
