"""Provide the fixtures that all tests share: folders of real data, and reproducible weights for the networks."""

import json
import math
import os
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("train", "val", "test")
sys.path.insert(0, str(ROOT))
sys.path.append(str(ROOT / "tests"))

from common.environment import prepare_environment  # noqa: E402

# pytest-xdist's workers, and the processes that they start, share the cores.
workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // workers)))
prepare_environment()

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from faulty_server import FaultyServer  # noqa: E402
from PIL import Image  # noqa: E402


@pytest.fixture(autouse=True, scope="module")
def operators_of_one_module():
    """Disable the C++ operators that a test of the module has enabled, as commands do that run in this process."""
    yield
    if "layers.kernels.ops" in sys.modules:
        sys.modules["layers.kernels.ops"].disable()


def _folder(variable: str, default: str) -> Path:
    folder = Path(os.environ.get(variable, ROOT.parent / "shared" / default))
    if not folder.is_dir():
        pytest.skip(f"{folder} not found. Set {variable} to the folder.")
    return folder


@pytest.fixture(scope="session")
def kitti_sample() -> Path:
    """Return the folder of a real drive in KITTI raw layout."""
    return _folder("KITTI_SAMPLE_DIR", "kitti_sample")


@pytest.fixture(scope="session")
def kitti_sample_colour() -> Path:
    """Return the folder of a second real drive: colour, left camera only, the car slows down to a stop."""
    return _folder("KITTI_SAMPLE_COLOUR_DIR", "kitti_sample_colour")


@pytest.fixture(scope="session")
def kitti_odometry_sample() -> Path:
    """Return 51 stereo pairs in the layout of KITTI odometry, with true poses: sequence 50."""
    return _folder("KITTI_ODOMETRY_SAMPLE_DIR", "kitti_odometry_sample")


@pytest.fixture(scope="session")
def dashcam() -> Path:
    """Return a folder with a real motorway video, and real photos of a checkerboard by another camera."""
    return _folder("DASHCAM_DIR", "dashcam")


@pytest.fixture(scope="session")
def stereo_drive(kitti_sample) -> Path:
    """Return ``kitti_sample`` if it has all that stereo training and evaluation need: lists, both cameras, lidar."""
    lists = kitti_sample / "splits" / "kitti_sample"
    missing = [str(path) for part in PARTS if not (path := lists / f"{part}_files.txt").is_file()]
    if not missing:
        folder, frame, _ = (lists / "train_files.txt").read_text().split()[:3]
        images = [kitti_sample / folder / f"image_0{camera}/data/{int(frame):010d}.jpg" for camera in (2, 3)]
        scans = kitti_sample / folder / "velodyne_points" / "data"
        tested = {int(line.split()[1]) for line in (lists / "test_files.txt").read_text().splitlines() if line.strip()}
        missing = [str(path) for path in images if not path.is_file()]
        if not any((scans / f"{frame:010d}.bin").is_file() for frame in tested):
            missing.append(f"lidar of the test frames in {scans}")
    if missing:
        pytest.skip(f"{kitti_sample} lacks {', '.join(missing)}")
    return kitti_sample


class SampleView(NamedTuple):
    """The left camera of a drive: image size and focal lengths, all in pixels."""

    width: int
    height: int
    fx: float
    fy: float

    @property
    def field_of_view(self) -> tuple[float, float]:
        """Horizontal and vertical field of view in degrees: 2 atan(size / (2 f))."""
        halves = (self.width / 2 / self.fx, self.height / 2 / self.fy)
        return tuple(2 * math.degrees(math.atan(half)) for half in halves)


@pytest.fixture(scope="session")
def sample_lines(stereo_drive) -> dict[str, list[str]]:
    """Map each part (``train``, ``val``, ``test``) to the lines of the sample's split."""
    lists = stereo_drive / "splits" / "kitti_sample"
    texts = {part: (lists / f"{part}_files.txt").read_text() for part in PARTS}
    return {part: [line for line in text.splitlines() if line.strip()] for part, text in texts.items()}


@pytest.fixture(scope="session")
def sample_view(stereo_drive, sample_lines) -> SampleView:
    """Read the left camera from the sample's calibration file."""
    folder = stereo_drive / sample_lines["test"][0].split()[0]
    entries = dict(line.split(":", 1) for line in (folder.parent / "calib_cam_to_cam.txt").read_text().splitlines())
    P = [float(number) for number in entries["P_rect_02"].split()]  # 3 x 4
    with Image.open(next(folder.glob("image_02/data/*"))) as image:
        return SampleView(*image.size, P[0], P[5])


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Return the folder with the original implementation's results on fixed inputs."""
    return _folder("REFERENCE_DIR", "reference")


@pytest.fixture(scope="session")
def networks_reference_dir() -> Path:
    """Return the folder with numbers of further networks from their public implementations."""
    return _folder("NETWORKS_REFERENCE_DIR", "networks_reference")


@pytest.fixture(scope="session")
def shared_splits() -> Path:
    """Return the folder of the published split lists, ``NAME/FILE``."""
    return _folder("SPLITS_DIR", "splits")


@pytest.fixture(scope="session")
def load_reference(reference_dir):
    """Return a function that loads the arrays of a reference file, and skips the test if the file is missing."""

    def load(name: str) -> dict[str, np.ndarray]:
        path = reference_dir / name
        if not path.is_file():
            pytest.skip(f"{path} not found")
        with np.load(path) as arrays:
            return dict(arrays)

    return load


def rule_weight(salt: str, module: str, key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Generate a parameter as the reference did: random values seeded by its PyTorch name."""
    random = np.random.RandomState(zlib.crc32(f"{salt}{module}.{key}".encode()) & 0x7FFFFFFF)
    if key.endswith("running_var"):
        value = 0.5 + random.rand(*shape)
    elif key.endswith("running_mean"):
        value = 0.1 * random.randn(*shape)
    elif len(shape) == 4:
        value = random.randn(*shape) * np.sqrt(2 / np.prod(shape[1:]))
    elif len(shape) == 2:
        value = random.randn(*shape) * np.sqrt(1 / shape[1])
    elif key.endswith(("weight", "temperature")):
        value = 1 + 0.1 * random.randn(*shape)
    else:
        value = 0.1 * random.randn(*shape)
    if module.startswith("pose") and key.startswith(("net.3.", "pose_conv.")):
        value = value * 0.05
    return value.astype(np.float32)


@pytest.fixture(scope="session")
def weight_by_rule():
    """Return ``rule_weight``."""
    return rule_weight


@pytest.fixture(scope="session")
def rule_arrays(reference_dir):
    """Return a function that generates the state dict of a reference module, with PyTorch's names."""
    layout = json.loads((reference_dir / "parameter_layout.json").read_text())
    salt = json.loads((reference_dir / "meta.json").read_text())["salt"]

    def make(module: str) -> dict[str, np.ndarray]:
        return {
            key: np.array(0) if key.endswith("num_batches_tracked") else rule_weight(salt, module, key, tuple(shape))
            for key, shape in layout[module].items()
        }

    return make


@pytest.fixture(scope="session")
def fill_by_rule(rule_arrays):
    """Return a function that loads the generated weights of a reference module into a network.

    The keys and shapes of both must be equal.
    """

    def fill(network, module: str) -> None:
        state = {}
        for key, value in rule_arrays(module).items():
            # The networks have no classifier and no batch counters.
            if not key.endswith("num_batches_tracked") and not key.startswith("encoder.fc."):
                state[key.replace("running_mean", "_mean").replace("running_var", "_variance")] = value
        expected = {name: list(value.shape) for name, value in network.state_dict().items()}
        assert expected == {name: list(value.shape) for name, value in state.items()}
        missing, unexpected = network.set_state_dict(state)
        assert not missing and not unexpected

    return fill


@pytest.fixture
def server(tmp_path):
    """Serve tmp_path/server with a ``FaultyServer``."""
    (tmp_path / "server").mkdir()
    server = FaultyServer(tmp_path / "server")
    yield server
    server.close()


@pytest.fixture
def short_pauses(monkeypatch):
    """Reduce attempts and pauses."""
    monkeypatch.setattr("common.download.RETRIES", 2)
    monkeypatch.setattr("common.download.BACKOFF", 0.01)
