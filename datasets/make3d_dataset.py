"""Make3D (Saxena et al., TPAMI 2009): photos of a campus with a coarse laser grid; for evaluation only.

Test134/img-NAME.jpg                      134 photos, 1704x2272 (portrait)
Gridlaserdata/depth_sph_corr-NAME.mat     Position3DGrid (55, 305, 4): y, x, z and distance, metres

The folder of a split line is NAME, its frame 0 and its side l.
"""

import os
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from common.errors import DataError
from common.text_files import list_folder
from datasets.public_dataset import PublicDataset
from datasets.splits import SplitLine
from datasets.transforms import Window

GRID = (55, 305, 4)
ROWS = slice(17, 38)  # the central 21 of 55 rows, as in Monodepth2's evaluation
IMAGES, DEPTHS = "Test134", "Gridlaserdata"


class Make3DDataset(PublicDataset):
    """The central 2:1 crop of every photo (3/8 of its height), and the 21x305 laser points in it.

    Godard et al. (CVPR 2017 and ICCV 2019) use this crop. The photos have no calibration and no neighbours.
    """

    EXTENSION = ".jpg"
    GROUND_TRUTH = "laser"
    PROTOCOL = "make3d"
    REGION = Window(0.0, 0.3125, 1.0, 0.375)
    DOWNLOAD = f"Unpack the test images as {IMAGES} and the test depths as {DEPTHS} there."

    def image_path(self, line: SplitLine, frame_offset: int, side: str) -> str:
        """Return the path of the photo; that of a neighbour does not exist."""
        suffix = f"{frame_offset:+d}" if frame_offset else ""
        return os.path.join(self.data_path, IMAGES, f"img-{line.folder}{suffix}{self.extension}")

    def intrinsics(self, line: SplitLine, side: str) -> tuple[np.ndarray, None]:
        """Reject the request.

        Raises:
            DataError: Always.
        """
        raise DataError("Make3D has photos without calibration or neighbours. Use it for evaluation only.")

    def ground_truth_path(self, line: SplitLine) -> str:
        """Return the path of the laser grid."""
        return os.path.join(self.data_path, DEPTHS, f"depth_sph_corr-{line.folder}.mat")

    def ground_truth(self, line: SplitLine) -> np.ndarray | None:
        """Read the distances of the central rows: float32 (21, 305).

        Raises:
            DataError: The file is damaged or has another layout.
        """
        path = self.ground_truth_path(line)
        if not os.path.isfile(path):
            return None
        try:
            grid = loadmat(path, variable_names=["Position3DGrid"]).get("Position3DGrid")
        except Exception as error:  # SciPy's reader raises many kinds for damaged content
            raise DataError(f"Laser grid {path} cannot be read ({error}): it is damaged. Copy it again.") from error
        if grid is None or grid.shape != GRID or not np.issubdtype(grid.dtype, np.number):
            found = "no Position3DGrid" if grid is None else f"Position3DGrid of shape {grid.shape}"
            raise DataError(f"Laser grid {path}: got {found}, expected Position3DGrid of shape {GRID}. {self.DOWNLOAD}")
        depth = grid[ROWS, :, 3].astype(np.float32)
        return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))

    @classmethod
    def split_lists(cls, data_path: Path) -> dict[str, list[SplitLine]]:
        """List all test photos by name.

        Raises:
            DataError: There are none.
        """
        names = sorted(list_folder(data_path / IMAGES))
        names = [name[4:-4] for name in names if name.startswith("img-") and name.endswith(cls.EXTENSION)]
        if not names:
            raise DataError(f"{data_path / IMAGES} has no photos img-NAME.jpg. {cls.DOWNLOAD}")
        return {"test": [SplitLine(name, 0, "l") for name in names]}
