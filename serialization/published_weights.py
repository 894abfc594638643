"""Published weights by name: what there is, and where from.

None of these files is part of the project, and each has its own licence. Scores are those that their authors publish,
on KITTI's Eigen split: with one factor per image (median scaling), and for weights trained on stereo pairs with the
stereo factor.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path

WEIGHTS_DIR = Path(__file__).resolve().parents[1] / "weights"
"""Where published weights are kept."""

DEFAULT_WEIGHTS = "mono_640x192"
"""Published weights that predict where none are selected."""

SHIPPED_WEIGHTS = "street"
"""Weights that are part of the project, in ``WEIGHTS_DIR``: trained on rendered streets, for use offline."""

_MONODEPTH2 = "https://storage.googleapis.com/niantic-lon-static/research/monodepth2"
_LITE_MONO = "https://surfdrive.surf.nl/files/index.php/s"
_DRIVE = "https://drive.google.com/file/d"


@dataclass(frozen=True)
class PublishedWeights:
    """Published weights.

    Attributes:
        url: address of the file, or of the page from which a browser downloads it.
        licence: licence of the weights.
        md5: MD5 of the file, where its authors publish it.
        sha256: first digits of its SHA-256, as the names of torchvision's files contain them.
        scores: abs_rel, sq_rel, rmse, rmse_log, a1, a2 and a3, where published.
        backbone: whether it is one file, the initialisation of an encoder (``--weights_init``), instead of a weights
            folder.
    """

    url: str
    licence: str
    md5: str | None = None
    sha256: str = ""
    scores: tuple[float, ...] | None = None
    backbone: bool = False

    @property
    def download(self) -> tuple[str, str]:
        """Address of the file itself: server with folder, and path. Pages of shares have one by their host's rule."""
        if self.url.startswith(_LITE_MONO):
            return self.url, "download"
        if self.url.startswith(_DRIVE):
            share = self.url.removeprefix(f"{_DRIVE}/").partition("/")[0]
            return "https://drive.usercontent.google.com", f"download?id={share}&export=download&confirm=t"
        server, _, path = self.url.rpartition("/")
        return server, path


def _monodepth2(file: str, md5: str, *scores: float) -> PublishedWeights:
    return PublishedWeights(f"{_MONODEPTH2}/{file}.zip", "Monodepth2's own, non-commercial", md5, scores=scores or None)


def _lite_mono(share: str, *scores: float, backbone: bool = False) -> PublishedWeights:
    return PublishedWeights(f"{_LITE_MONO}/{share}", "MIT", scores=scores or None, backbone=backbone)


def _predecessor(share: str, backbone: bool = False) -> PublishedWeights:
    return PublishedWeights(f"{_DRIVE}/{share}/view", "not stated", backbone=backbone)


# fmt: off
PUBLISHED: dict[str, PublishedWeights] = {
    "mono_640x192": _monodepth2(
        "mono_640x192", "a964b8356e08a02d009609d9e3928f7c", 0.115, 0.903, 4.863, 0.193, 0.877, 0.959, 0.981),
    "stereo_640x192": _monodepth2(
        "stereo_640x192", "3dfb76bcff0786e4ec07ac00f658dd07", 0.109, 0.873, 4.960, 0.209, 0.864, 0.948, 0.975),
    "mono+stereo_640x192": _monodepth2(
        "mono%2Bstereo_640x192", "c024d69012485ed05d7eaa9617a96b81", 0.106, 0.818, 4.750, 0.196, 0.874, 0.957, 0.979),
    "mono_no_pt_640x192": _monodepth2(
        "mono_no_pt_640x192", "9c2f071e35027c895a4728358ffc913a", 0.132, 1.044, 5.142, 0.210, 0.845, 0.948, 0.977),
    "stereo_no_pt_640x192": _monodepth2("stereo_no_pt_640x192", "41ec2de112905f85541ac33a854742d1"),
    "mono+stereo_no_pt_640x192": _monodepth2("mono%2Bstereo_no_pt_640x192", "46c3b824f541d143a45c37df65fbab0a"),
    "mono_1024x320": _monodepth2(
        "mono_1024x320", "0ab0766efdfeea89a0d9ea8ba90e1e63", 0.115, 0.882, 4.701, 0.190, 0.879, 0.961, 0.982),
    "stereo_1024x320": _monodepth2("stereo_1024x320", "afc2f2126d70cf3fdf26b550898b501a"),
    "mono+stereo_1024x320": _monodepth2("mono%2Bstereo_1024x320", "cdc5fc9b23513c07d5b19235d9ef08f7"),
    "lite-mono_640x192": _lite_mono("CUjiK221EFLyXDY", 0.107, 0.765, 4.561, 0.183, 0.886, 0.963, 0.983),
    "lite-mono-small_640x192": _lite_mono("8cuZNH1CkNtQwxQ", 0.110, 0.802, 4.671, 0.186, 0.879, 0.961, 0.982),
    "lite-mono-tiny_640x192": _lite_mono("TFDlF3wYQy0Nhmg", 0.110, 0.837, 4.710, 0.187, 0.880, 0.960, 0.982),
    "lite-mono-8m_640x192": _lite_mono("UlkVBi1p99NFWWI", 0.101, 0.729, 4.454, 0.178, 0.897, 0.965, 0.983),
    "lite-mono_1024x320": _lite_mono("IK3VtPj6b5FkVnl", 0.102, 0.746, 4.444, 0.179, 0.896, 0.965, 0.983),
    "lite-mono-small_1024x320": _lite_mono("w8mvJMkB1dP15pu"),
    "lite-mono-tiny_1024x320": _lite_mono("myxcplTciOkgu5w"),
    "lite-mono-8m_1024x320": _lite_mono("mgonNFAvoEJmMas", 0.097, 0.710, 4.309, 0.174, 0.905, 0.967, 0.984),
    "lite-mono_imagenet": _lite_mono("InMMGd5ZP2fXuia", backbone=True),
    "lite-mono-small_imagenet": _lite_mono("DYbWV4bsWImfJKu", backbone=True),
    "lite-mono-8m_imagenet": _lite_mono("oil2ME6ymoLGDlL", backbone=True),
    "monodepthv2_paddle_640x192": _predecessor("14hUDOt4lt6glPdUAwgky523E1yZJ1Wvw"),
    "monodepthv2_paddle_1024x320": _predecessor("1OQDwQ0MI-XA2GDBsCr0E4CSc0BJPqnCB"),
    "convnext_tiny_imagenet": PublishedWeights(
        "https://download.pytorch.org/models/convnext_tiny-983f1562.pth", "BSD-3-Clause", sha256="983f1562",
        backbone=True),
    "resnet18_backbone_paddle": _predecessor("1iVnt_6I0u2U4wo1ZeG1Iy2DvZ1Ltn-2l", backbone=True),
}
# fmt: on


def suggest(folder: object) -> str:
    """Return a sentence on what to pass instead of a weights folder that was not found: the nearest name, if one is."""
    near = difflib.get_close_matches(str(folder)[:60], [*PUBLISHED, SHIPPED_WEIGHTS], n=1, cutoff=0.75)
    if near:
        return f" The nearest {'published' if near[0] in PUBLISHED else 'shipped'} weights are {near[0]}."
    return " Pass a weights folder, such as RUN/models/weights_best, or a name from python tools/get_weights.py --list."
