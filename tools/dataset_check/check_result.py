"""The result of checking a split, as a text and as JSON."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tools.dataset_check.calibration_checks import CameraView
from tools.dataset_check.findings import KINDS, Finding

SHOWN = 3  # examples of each kind in the summary


@dataclass(frozen=True)
class CheckResult:
    """What was checked, and the findings.

    Attributes:
        lines: Part -> number of lines in its list.
        drives: Number of drives or sequences with images.
        images: Number of distinct existing images that the lines need; all were decoded.
        depth_maps: Number of ground truths read.
        views: Camera view -> number of drives with such a camera.
        findings: Errors and warnings.
    """

    lines: dict[str, int]
    drives: int
    images: int
    depth_maps: int
    views: dict[CameraView, int]
    findings: list[Finding]

    @property
    def passed(self) -> bool:
        """Whether there are no errors; warnings are allowed."""
        return not any(KINDS[finding.kind].is_error for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Convert the result to JSON types; tools/check_dataset.py adds the split, data_path and dataset.

        healthy      true or false: exit status 0 or 1
        lines        {part: number of lines}
        drives, images, depth_maps    numbers, as above
        views        [{height, width, focal_length: [x, y] in pixels, field_of_view: [horizontal, vertical]
                     in degrees, drives: number}]
        counts       {kind: number of findings}, without kinds that have none
        findings     [{kind, severity: "error" or "warning", path, line, part, detail, frames}]; path or line may be
                     null, as in ``Finding``
        """
        return {
            "healthy": self.passed,
            "lines": self.lines,
            "drives": self.drives,
            "images": self.images,
            "depth_maps": self.depth_maps,
            "views": [
                {
                    "height": view.size[0],
                    "width": view.size[1],
                    "focal_length": list(view.focal_length),
                    "field_of_view": list(view.field_of_view),
                    "drives": drives,
                }
                for view, drives in self.views.items()
            ],
            "counts": {kind: len(findings) for kind, findings in self._by_kind().items()},
            "findings": [
                {"severity": "error" if KINDS[finding.kind].is_error else "warning", **asdict(finding)}
                for finding in self.findings
            ],
        }

    def summary(self) -> str:
        """Describe what was checked, then each kind of finding with examples and advice."""
        return "\n".join(self._paragraphs())

    def _paragraphs(self) -> Iterator[str]:
        lines = ", ".join(f"{count} {part}" for part, count in self.lines.items())
        yield f"{lines} lines; {self.images} images and {self.depth_maps} ground truths from {_drives(self.drives)}"
        for view, drives in self.views.items():
            (height, width), (horizontal, vertical) = view.size, view.field_of_view
            yield (
                f"field of view {horizontal:.1f} x {vertical:.1f} degrees, "
                f"focal length {view.focal_length[0]:.1f} pixels at {width}x{height}: {_drives(drives)}"
            )
        by_kind = self._by_kind()
        for kind, findings in by_kind.items():
            frames = sum(finding.frames for finding in findings)
            more = f", {frames} frames" if frames > len(findings) else ""
            severity = "ERROR" if KINDS[kind].is_error else "warning"
            yield f"\n{severity} {kind}: {len(findings)} {KINDS[kind].title}{more}"
            yield from (f"  {finding}" for finding in findings[:SHOWN])
            if len(findings) > SHOWN:
                yield f"  and {len(findings) - SHOWN} more"
            yield f"  {KINDS[kind].advice}"
        errors = sum(len(findings) for kind, findings in by_kind.items() if KINDS[kind].is_error)
        if errors:
            yield f"\nFound {errors} errors that affect training or evaluation"
        else:
            yield "\nNo problems found" + (" that affect training or evaluation" if self.findings else "")

    def _by_kind(self) -> dict[str, list[Finding]]:
        """Group the findings by kind, in the order of ``KINDS``."""
        found: dict[str, list[Finding]] = defaultdict(list)
        for finding in self.findings:
            found[finding.kind].append(finding)
        return {kind: found[kind] for kind in KINDS if kind in found}


def _drives(count: int) -> str:
    return "1 drive" if count == 1 else f"{count} drives"
