"""Import a user's checkout of the original implementation (nianticlabs/monodepth2), patched in memory.

The checkout is not changed, and none of its code is in this project. Patches:

- ``torch.randn`` in its trainer returns zeros: the noise that breaks ties differs between random generators.
- ``grid_sample`` gets ``align_corners=True``, PyTorch's default when the code was written.
- torchvision's ``resnetN`` no longer take ``pretrained``; nothing is downloaded here.
- ``numpy.load`` in its evaluation reads the array of depth maps that this tool writes.
- Its data loading, TensorBoard and IPython are replaced by stand-ins: batches come from this project's loader.
"""

import contextlib
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from common.errors import DataError, UserError, printable, shell_quoted

ADDRESS = "https://github.com/nianticlabs/monodepth2"
_NETWORKS = ("__init__", "resnet_encoder", "depth_decoder", "pose_decoder", "pose_cnn")
FILES = (
    *("trainer.py", "layers.py", "options.py", "utils.py", "kitti_utils.py", "evaluate_depth.py"),
    *(f"networks/{name}.py" for name in _NETWORKS),
)
# Module -> what is used of it.
INTERFACE = {
    "trainer": ("Trainer", "Trainer.process_batch", "Trainer.save_model", "torch", "F"),
    "options": ("MonodepthOptions",),
    "evaluate_depth": ("evaluate", "compute_errors", "np"),
    "networks.resnet_encoder": ("models",),
}
_STAND_INS = ("datasets", "tensorboardX", "IPython", "six", "six.moves")


def check_checkout(folder: Path) -> None:
    """Check that a folder looks like a checkout, without importing it.

    Raises:
        DataError: It is not one, or lacks files.
    """
    advice = f"Expected a checkout of the original: git clone {ADDRESS}"
    if not folder.is_dir():
        raise DataError(f"'{folder}' is not a folder. {advice}")
    missing = [name for name in FILES if not (folder / name).is_file()]
    if not missing:
        return
    if (folder / "HEAD").is_file() and (folder / "objects").is_dir():
        command = f"git clone {shell_quoted(folder)} monodepth2"
        raise DataError(f"'{folder}' is a bare git repository, expected its files. Clone it first: {command}")
    inside = next((path.parent for path in sorted(folder.glob("*/trainer.py")) if _is_complete(path.parent)), None)
    if inside is not None:
        raise DataError(f"'{folder}' contains the original in a subfolder. Pass '{inside}'.")
    if (folder / "layers").is_dir() or len(missing) > len(FILES) // 2:
        raise DataError(f"'{folder}' is not the original: it has no {' and no '.join(missing[:2])}. {advice}")
    raise DataError(
        f"'{folder}' lacks {', '.join(missing)} of the original. Restore the files, for example with git checkout -- ."
    )


def _is_complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in FILES)


def check_torch() -> None:
    """Check that PyTorch and torchvision are installed.

    Raises:
        UserError: One is not.
    """
    missing = [name for name in ("torch", "torchvision") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} not found. Only this comparison needs PyTorch: pip install torch torchvision"
        )


class Checkout:
    """The original's modules, imported and patched.

    Args:
        folder: The checkout.

    Raises:
        DataError: A file cannot be imported, or lacks a part of the interface.
    """

    def __init__(self, folder: Path) -> None:
        check_checkout(folder)
        with _import_path(folder):
            modules = {name: _imported(folder, name) for name in INTERFACE}
        self.trainer, self.options = modules["trainer"], modules["options"]
        self.evaluation = modules["evaluate_depth"]
        resnet = modules["networks.resnet_encoder"]
        resnet.models = _Patched(resnet.models, **_without_pretrained(resnet.models))
        self._patch_trainer()
        self.evaluation.np = _Patched(self.evaluation.np, load=partial(self.evaluation.np.load, allow_pickle=True))

    def _patch_trainer(self) -> None:
        trainer = self.trainer
        trainer.torch = _Patched(trainer.torch, randn=trainer.torch.zeros)
        trainer.F = _Patched(trainer.F, grid_sample=partial(trainer.F.grid_sample, align_corners=True))
        trainer.DataLoader = lambda *arguments, **keywords: ()
        trainer.readlines = lambda path: [""]

    def parsed_options(self, arguments: Sequence[str]) -> Any:
        """Parse a command line with the original's own parser.

        Raises:
            UserError: The original does not accept it.
        """
        parser = self.options.MonodepthOptions().parser
        parser.error = _refuse  # instead of exiting
        return parser.parse_args(list(arguments))


def _refuse(message: str) -> NoReturn:
    raise UserError(f"The original does not accept these options ({message}). Omit the option, or choose its value.")


class _Patched:
    """A module with some attributes replaced, for one importing module only."""

    def __init__(self, module: Any, **replaced: Any) -> None:
        self.__dict__.update(replaced)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class _Dataset:
    """Stand-in for the original's datasets: no samples."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        pass

    def __len__(self) -> int:
        return 0


class _Writer:
    """Stand-in for a TensorBoard writer that writes nothing."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        pass


def _stand_in(name: str) -> ModuleType:
    module = ModuleType(name)
    module.__path__ = []  # a package
    module.KITTIRAWDataset = module.KITTIOdomDataset = _Dataset
    module.SummaryWriter = _Writer
    module.embed = module.urllib = None
    return module


@contextlib.contextmanager
def _import_path(folder: Path) -> Iterator[None]:
    """Import from a folder first, and afterwards again what this project's names mean.

    The original's top-level names (``trainer``, ``layers``, ``options``, ...) are this project's, too.
    """
    names = {name.split("/")[0].removesuffix(".py") for name in FILES}
    ours = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] in {*names, *_STAND_INS}}
    sys.modules.update({name: _stand_in(name) for name in _STAND_INS})
    sys.path.insert(0, str(folder.resolve()))
    importlib.invalidate_caches()
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes
        sys.path.remove(str(folder.resolve()))
        for name in [name for name in sys.modules if name.split(".")[0] in {*names, *_STAND_INS}]:
            del sys.modules[name]
        sys.modules.update(ours)


def _imported(folder: Path, name: str) -> ModuleType:
    """Import a module of the checkout and check its interface.

    Raises:
        DataError: It cannot be imported, or lacks a part of the interface.
    """
    path = folder / f"{name.replace('.', '/')}.py"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever a file of others raises
        reason = printable(f"{type(error).__name__}: {error}".strip().splitlines()[0])
        raise DataError(
            f"'{path}' cannot be imported ({reason}). Install what it needs, or restore the file."
        ) from error
    for attribute in INTERFACE[name]:
        found: Any = module
        for part in attribute.split("."):
            found = getattr(found, part, None)
        if found is None:
            raise DataError(f"'{path}' has no {attribute}. Expected an unmodified checkout of {ADDRESS}")
    return module


def _without_pretrained(models: Any) -> dict[str, Any]:
    """Name -> function of torchvision's models that ignores the positional ``pretrained``."""
    names = [f"resnet{layers}" for layers in (18, 34, 50, 101, 152) if hasattr(models, f"resnet{layers}")]
    return {name: partial(_build_random, getattr(models, name)) for name in names}


def _build_random(build: Callable[[], Any], pretrained: bool) -> Any:
    return build()
