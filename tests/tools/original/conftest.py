"""Provide a stand-in for a checkout of the original: its interface, without its code and without PyTorch."""

import importlib.util
import os
import textwrap
from pathlib import Path

import pytest

from tools.original.checkout import FILES

STAND_IN = {
    "utils.py": "from six.moves import urllib\nimport os\ndef readlines(path):\n    return open(path).readlines()",
    "kitti_utils.py": "",
    "layers.py": "ORIGIN = 'stand-in'",
    "networks/__init__.py": "from .resnet_encoder import ResnetEncoder",
    "networks/resnet_encoder.py": """
        from types import SimpleNamespace
        from layers import *

        def resnet18(*, weights=None):
            return "random"

        models = SimpleNamespace(resnet18=resnet18)

        class ResnetEncoder:
            def __init__(self, pretrained):
                self.encoder = models.resnet18(pretrained)
                self.origin = ORIGIN
    """,
    "options.py": """
        import argparse

        class MonodepthOptions:
            def __init__(self):
                self.parser = argparse.ArgumentParser()
                self.parser.add_argument("--height", type=int, default=192)
                self.parser.add_argument("--ext_disp_to_eval")
                self.parser.add_argument("--eval_split", choices=["eigen", "eigen_benchmark"])
                self.parser.add_argument("--eval_mono", action="store_true")
                self.parser.add_argument("--eval_stereo", action="store_true")
    """,
    "trainer.py": """
        from types import SimpleNamespace
        import numpy as np
        from tensorboardX import SummaryWriter
        from IPython import embed
        from utils import *
        from kitti_utils import *
        from layers import *
        import datasets, networks

        torch = SimpleNamespace(
            __version__="stand-in", zeros=np.zeros, randn=np.ones, manual_seed=id, set_num_threads=id
        )
        F = SimpleNamespace(grid_sample=lambda image, align_corners=False: align_corners)

        class Trainer:
            def __init__(self, options):
                self.lines = readlines(os.path.join("splits", "train_files.txt"))
                self.train = datasets.KITTIRAWDataset(options.height, self.lines, img_ext=".jpg")
                self.loader = DataLoader(self.train, 12, True, num_workers=12)
                self.writer = SummaryWriter("log")
                self.encoder = networks.ResnetEncoder(False)

            def set_train(self):
                pass

            def noise(self):
                return torch.randn((2, 3))

            def sample(self):
                return F.grid_sample(None)

            def process_batch(self, inputs):
                raise KeyError("axisangle")

            def save_model(self):
                pass
    """,
    "evaluate_depth.py": """
        import os
        import numpy as np
        import datasets, networks

        splits_dir = os.path.join(os.path.dirname(__file__), "splits")

        def compute_errors(truth, predicted):
            return [np.mean(np.abs(truth - predicted) / truth), *range(6)]

        def evaluate(opt):
            disps = np.load(opt.ext_disp_to_eval)
            depths = np.load(os.path.join(splits_dir, opt.eval_split, "gt_depths.npz"))["data"]
            for disp, depth in zip(disps, depths):
                known = depth > 0
                predicted = np.full(depth.shape, 1 / disp.mean())[known] * (5.4 if opt.eval_stereo else 1)
                print(compute_errors(depth[known], predicted))
    """,
}


@pytest.fixture
def stand_in(tmp_path) -> Path:
    """Return a folder with the stand-in."""
    folder = tmp_path / "monodepth2"
    assert set(FILES) <= {*STAND_IN, *(f"networks/{name}.py" for name in ("depth_decoder", "pose_decoder", "pose_cnn"))}
    for name in FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(STAND_IN.get(name, "")), encoding="utf-8")
    return folder


@pytest.fixture
def original_checkout() -> Path:
    """Return the folder of the original itself."""
    folder = os.environ.get("ORIGINAL_DIR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("no checkout of the original. Set ORIGINAL_DIR to one.")
    missing = [package for package in ("torch", "torchvision") if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed")
    return Path(folder)
