"""How each dataset beyond KITTI is scored as published: which pixels, up to which depth.

| dataset | pixels | metres | source |
| --- | --- | --- | --- |
| cityscapes | above the bonnet without the top 256 rows and 192 columns at each side | 1e-3 to 80 | ManyDepth's code |
| make3d | the central 21 rows of the laser grid | 0 to 70 | Monodepth2's authors (their issue 89) |
| nyuv2 | rows 45 to 470, columns 41 to 600 of 640x480 | 1e-3 to 10 | Eigen et al. (2014), as later code has it |
| ddad | all | 0 to 200 | PackNet-SfM's ``eval_ddad.yaml`` |
| nuscenes | all | 1e-3 to 80 | a choice of this project: there is no one protocol |
"""

import dataclasses
from typing import NamedTuple

from evaluation.metrics.depth_protocol import MIN_DEPTH, DepthProtocol


class DatasetProtocol(NamedTuple):
    """The published protocol of a dataset.

    Attributes:
        crop: Key of ``depth_protocol.CROPS``.
        cap: Limit of ground truth and predictions, metres.
        min_depth: Smallest scored ground truth (exclusive), metres.
        log10: Whether tables report the RMSE of the decadic logarithm, in addition.
    """

    crop: str
    cap: float
    min_depth: float = MIN_DEPTH
    log10: bool = False

    def apply(self, protocol: DepthProtocol, eval_crop: str, cap: float | None) -> DepthProtocol:
        """Return a protocol with the selection of pixels of this dataset.

        Args:
            protocol: Its scaling is kept.
            eval_crop: ``--eval_crop``; "auto" is the dataset's own.
            cap: ``--eval_max_depth``; None if the option is not given.
        """
        cap = self.cap if cap is None else cap
        return dataclasses.replace(
            protocol,
            crop=self.crop if eval_crop == "auto" else eval_crop,
            min_depth=self.min_depth,
            max_depth=cap,
            cap=cap,
            log10=self.log10,
        )


DATASET_PROTOCOLS = {
    "cityscapes": DatasetProtocol("cityscapes", 80.0),
    "make3d": DatasetProtocol("none", 70.0, min_depth=0.0, log10=True),
    "nyuv2": DatasetProtocol("nyuv2", 10.0, log10=True),
    "ddad": DatasetProtocol("none", 200.0, min_depth=0.0),
    "nuscenes": DatasetProtocol("none", 80.0),
}
