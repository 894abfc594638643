"""Convert a weights folder, or a single weight file such as a backbone, to another format.

Example: python tools/convert_weights.py weights/mono_640x192 converted --format pytorch

The format pytorch uses PyTorch's names and layouts, in safetensors files.
"""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.atomic_files import check_writable, resolve_complete_dir
from common.command_line import OptionParser
from common.environment import prepare_environment, run_script
from common.errors import WeightsError
from options import ROLES
from serialization.formats import FORMATS, READERS, any_of, read_arrays
from serialization.manifest import MANIFEST_FILE, check_manifest
from serialization.weights_download import resolve_weights

if TYPE_CHECKING:
    from serialization.weights_folder import WeightsInfo

# Default training size of the original implementation, for weights that do not specify a size.
_DEFAULT_SIZE = {"height": 192, "width": 640}


def main() -> None:
    """Parse the command line and convert."""
    parser = OptionParser(description=__doc__)
    parser.add_argument(
        "source",
        type=Path,
        metavar="SRC",
        help=f"weights folder, name of published weights, or a {any_of(READERS)} file",
    )
    parser.add_argument("target", type=Path, metavar="DST", help="new folder, or a new file if SRC is a file")
    parser.add_argument("--format", choices=FORMATS, required=True, help="output format")
    parser.add_argument("--fp16", action="store_true", help="store numbers as float16, half the size (default: off)")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="input size to predict at (default: that of SRC)"
    )
    args = parser.parse_args()
    if args.size and (min(args.size) < 64 or any(side % 32 for side in args.size)):
        parser.error(f"--size: got {args.size[0]} {args.size[1]}, expected multiples of 32 from 64 on")
    source = resolve_complete_dir(Path(resolve_weights(args.source)).absolute())
    if not source.exists():
        raise WeightsError(f"'{args.source}' not found. Expected a weights folder, or a {any_of(READERS)} file.")
    target = args.target
    if target.exists() and not (source.is_dir() and target.is_dir() and not any(target.iterdir())):
        raise WeightsError(
            f"'{target}' exists and is not replaced. Choose a new {'folder' if source.is_dir() else 'file'}."
        )
    check_writable(target.absolute().parent)
    rounded = _to_half if args.fp16 else dict
    if source.is_dir():
        print(_convert_folder(source, target, args.format, rounded, args.size))
    elif args.size:
        parser.error("--size: a file stores no input size; pass its folder")
    else:
        print(_convert_file(source, target, args.format, rounded))


def _to_half(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Round floating-point arrays to float16.

    Raises:
        WeightsError: a number is too large.
    """
    with np.errstate(over="ignore"):  # found below
        half = {name: a.astype(np.float16) if a.dtype.kind == "f" else a for name, a in arrays.items()}
    for name, array in half.items():
        if not np.isfinite(array).all():
            raise WeightsError(f"--fp16: {name} has numbers above {np.finfo(np.float16).max}. Omit --fp16.")
    return half


Rounding = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def _convert_folder(source: Path, target: Path, name: str, rounded: Rounding, size: Sequence[int] | None) -> str:
    """Convert a weights folder, perhaps for another input ``size``, and return a summary for the user."""
    prepare_environment()
    from serialization.weights_folder import INFO_FILE, read_weights, read_weights_info, roles_in, write_weights

    info = read_weights_info(source)  # first: it recognises the folder of a run
    if size:
        if info is None or info.intrinsics is not None:
            raise WeightsError(
                f"--size: '{source}' has {'learned intrinsics' if info else f'no {INFO_FILE}'}. Omit it."
            )
        info = dataclasses.replace(info, height=size[0], width=size[1])
    roles = [role for role in ROLES if role in roles_in(source)]
    if not roles:
        raise WeightsError(f"'{source}' contains no weights. Expected files named {any_of(ROLES)}.")
    form = FORMATS[name]
    contents = read_weights(source, roles)
    arrays = {role: form.arrange(rounded(content)) for role, (_, content) in contents.items()}
    write_weights(target, arrays, info, form)
    lines = [_table({target / f"{role}{form.ending}": len(content) for role, content in arrays.items()})]
    if info:
        lines.append(
            f"{info.width}x{info.height}, {'with' if info.use_stereo else 'without'} stereo pairs: {INFO_FILE}"
        )
    used = {path.name for path, _ in contents.values()} | {INFO_FILE, MANIFEST_FILE}
    others = sorted(path.name for path in source.iterdir() if path.is_file() and path.name not in used)
    if others:
        lines.append(f"Not converted: {', '.join(others)}")
    lines.append(f"Saved to '{target}'")
    if name == "pytorch":
        lines.append(_recipe(target, roles, info))
    return "\n".join(lines)


def _convert_file(source: Path, target: Path, name: str, rounded: Rounding) -> str:
    """Convert a weight file and return a summary for the user."""
    form = FORMATS[name]
    if target.suffix != form.ending:
        raise WeightsError(f"'{target}' has the wrong extension for --format {name}, expected {form.ending}.")
    check_manifest(source.parent, [source.name])
    arrays = form.arrange(rounded(read_arrays(source)))
    form.write(target, arrays)
    return f"{_table({target: len(arrays)})}\nSaved to '{target}'"


def _table(files: Mapping[Path, int]) -> str:
    """Format file name, number of arrays and size in MB as an aligned table."""
    width = max(len(path.name) for path in files)
    rows = [f"{'file':<{width}}  arrays      MB"]
    rows += [f"{path.name:<{width}}  {count:>6}  {path.stat().st_size / 1e6:>6.1f}" for path, count in files.items()]
    return "\n".join(rows)


def _recipe(folder: Path, roles: list[str], info: "WeightsInfo | None") -> str:
    """Format the PyTorch code that saves the files as ``.pth`` for the original implementation."""
    size = info.as_dict() if info else _DEFAULT_SIZE
    add_size = f'; weights["encoder"].update({size})' if "encoder" in roles else ""
    assumed = "" if info else f"\n(the weights do not specify a size; {size['width']}x{size['height']} is assumed)"
    return f"""To use them in the original code, run this with PyTorch in the folder for the .pth files{assumed}:

import torch; from safetensors.torch import load_file
weights = {{role: load_file(f"{folder.absolute()}/{{role}}.safetensors") for role in {roles}}}{add_size}
for role in weights: torch.save(weights[role], f"{{role}}.pth", _use_new_zipfile_serialization=False)"""


if __name__ == "__main__":
    run_script(main)
