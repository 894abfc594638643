"""Scores of a split with corruptions: compute, compare, write and read them."""

import dataclasses
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import DataError, as_data_error
from common.text_files import read_text
from datasets.corruptions import SEVERITIES
from datasets.mono_dataset import MonoDataset
from evaluation.ground_truth import GroundTruth
from evaluation.metrics.corruption_metrics import corruption_errors, depth_estimation_error, resilience_rates
from evaluation.metrics.depth_metrics import METRIC_NAMES
from evaluation.metrics.depth_protocol import DepthProtocol, FrameScore, collect_scores
from evaluation.split_scores import score_frame

CORRUPTIONS_FILE = "corruptions.json"
_ABS_REL, _A1 = METRIC_NAMES.index("abs_rel"), METRIC_NAMES.index("a1")


@dataclass(frozen=True, eq=False)
class CorruptionScores:
    """Metrics of one prediction on clean and corrupted images, averaged over the frames.

    Attributes:
        name: Name of the prediction.
        setting: From ``setting_of``.
        names: The C corruptions.
        clean: (7,) in the order of ``METRIC_NAMES``.
        corrupted: (C, 5, 7), by severity.
        errors: (C,) corruption errors relative to a baseline; None without one.
        baseline: Name of the baseline, or "".
    """

    name: str
    setting: Mapping[str, Any]
    names: tuple[str, ...]
    clean: np.ndarray
    corrupted: np.ndarray
    errors: np.ndarray | None = None
    baseline: str = ""

    @property
    def abs_rel(self) -> np.ndarray:
        """abs_rel (C, 5) by corruption and severity."""
        return self.corrupted[:, :, _ABS_REL]

    @property
    def dee(self) -> np.ndarray:
        """Depth estimation error (C, 5)."""
        return depth_estimation_error(self.abs_rel, self.corrupted[:, :, _A1])

    @property
    def resilience(self) -> np.ndarray:
        """Resilience rates (C,)."""
        return resilience_rates(self.dee, float(depth_estimation_error(self.clean[_ABS_REL], self.clean[_A1])))

    def check_comparable(self, setting: Mapping[str, Any], names: Sequence[str]) -> None:
        """Check that these scores can be the baseline of an evaluation.

        Raises:
            DataError: Its setting differs, or these scores lack one of its corruptions.
        """
        for key, value in setting.items():
            own = self.setting.get(key)
            if own != value:
                raise DataError(
                    f"--corruptions_baseline {self.name} was scored with {key} {own}, this evaluation with {value}: "
                    "the scores are not comparable. Evaluate both with the same options."
                )
        missing = [name for name in names if name not in self.names]
        if missing:
            raise DataError(
                f"--corruptions_baseline {self.name} has no scores of {', '.join(missing)}. Evaluate it with "
                "--corruptions all."
            )

    def relative_to(self, other: "CorruptionScores") -> "CorruptionScores":
        """Return these scores with their errors relative to others, which pass ``check_comparable``."""
        rows = [other.names.index(name) for name in self.names]
        return dataclasses.replace(self, errors=corruption_errors(self.dee, other.dee[rows]), baseline=other.name)

    def as_json(self) -> str:
        """Format as ``CORRUPTIONS_FILE``."""
        content: dict[str, Any] = {
            "name": self.name,
            "setting": dict(self.setting),
            "clean": _named(self.clean),
            "corruptions": {
                name: [_named(values) for values in by_severity]
                for name, by_severity in zip(self.names, self.corrupted, strict=True)
            },
            "resilience_rates": self._by_corruption(self.resilience),
            "mean_resilience_rate": _finite(self.resilience.mean()),
        }
        if self.errors is not None:
            content["baseline"] = self.baseline
            content["corruption_errors"] = self._by_corruption(self.errors)
            content["mean_corruption_error"] = _finite(self.errors.mean())
        return json.dumps(content, indent=1, allow_nan=False) + "\n"

    def _by_corruption(self, values: np.ndarray) -> dict[str, float | None]:
        return {name: _finite(value) for name, value in zip(self.names, values, strict=True)}


def setting_of(split: str, dataset: MonoDataset, truth: GroundTruth, protocol: DepthProtocol) -> dict[str, Any]:
    """Return what scores must share to be comparable: frames, ground truth and protocol; JSON-compatible."""
    lines = "\n".join(map(str, dataset.lines))
    return {
        "split": split,
        "frames": f"{len(dataset.lines)}, checksum {zlib.crc32(lines.encode()):08x}",
        "ground truth": truth.kind,
        "protocol": protocol.describe(),
        "scaling": "median" if protocol.median_scaling else f"factor {protocol.scale_factor:g}",
    }


def score_corruptions(
    name: str,
    setting: Mapping[str, Any],
    names: Sequence[str],
    disps: Iterable[np.ndarray],
    dataset: MonoDataset,
    truth: GroundTruth,
    protocol: DepthProtocol,
) -> CorruptionScores:
    """Score the frames of a split; the ground truth of each is read once.

    Args:
        name: Name of the prediction.
        setting: From ``setting_of``.
        names: The C corruptions.
        disps: For each frame, scaled disparities (1 + 5 C, h, w): clean, then by corruption and severity.
        dataset, truth, protocol: As for the clean images.

    Raises:
        DataError: Disparities are not positive and finite, or ground truth is damaged or nowhere valid.
    """
    rows: list[list[FrameScore | None]] = []
    for number, (line, of_frame) in enumerate(zip(dataset.lines, disps, strict=True)):
        gt = truth[number]
        rows.append([score_frame(disp, gt, protocol, str(line)) for disp in of_frame])
    lines = [str(line) for line in dataset.lines]
    with as_data_error():
        results = [collect_scores(scores, protocol, lines) for scores in zip(*rows, strict=True)]
    means = np.array([[result.means[metric] for metric in METRIC_NAMES] for result in results])
    corrupted = means[1:].reshape(len(names), len(SEVERITIES), len(METRIC_NAMES))
    return CorruptionScores(name, setting, tuple(names), means[0], corrupted)


def read_corruptions(folder: Path, split: str) -> CorruptionScores | None:
    """Read the scores in an output folder of evaluate_depth.py, or in its ``scores_SPLIT``; None if there are none.

    Raises:
        DataError: The file is damaged.
    """
    paths = (folder / f"scores_{split}" / CORRUPTIONS_FILE, folder / CORRUPTIONS_FILE)
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return None
    try:
        content = json.loads(read_text(path))
        names = tuple(content["corruptions"])
        corrupted = np.array([[_values(one) for one in content["corruptions"][name]] for name in names])
        errors = content.get("corruption_errors")
        if not names or corrupted.shape != (len(names), len(SEVERITIES), len(METRIC_NAMES)):
            raise ValueError(f"scores of shape {corrupted.shape}")
        return CorruptionScores(
            str(content["name"]),
            dict(content["setting"]),
            names,
            np.array(_values(content["clean"])),
            corrupted,
            None if errors is None else np.array([errors[name] for name in names], dtype=float),
            str(content.get("baseline", "")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} is damaged, or was not written by evaluate_depth.py ({type(error).__name__}: {error}). Delete it, "
            "and run evaluate_depth.py --corruptions again."
        ) from error


def _named(values: np.ndarray) -> dict[str, float]:
    return dict(zip(METRIC_NAMES, values.tolist(), strict=True))


def _values(metrics: Mapping[str, float]) -> list[float]:
    values = [float(metrics[name]) for name in METRIC_NAMES]
    if not all(map(math.isfinite, values)):
        raise ValueError(f"metrics {values}")
    return values


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
