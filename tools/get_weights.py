"""Download published weights by name, once, to weights/; or list them.

Example: python tools/get_weights.py --list
Example: python tools/get_weights.py mono_640x192

All commands do the same for a name passed to --load_weights_folder. An interrupted download is resumed.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.command_line import OptionParser
from common.environment import run_script
from common.errors import OptionsError
from common.option_types import nearest
from serialization.published_weights import PUBLISHED
from serialization.weights_download import find_published, get_published


def main() -> None:
    """Parse the command line, and download or list."""
    parser = OptionParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="weights to download")
    parser.add_argument("--list", action="store_true", help="list all names, with their scores and licences")
    args = parser.parse_args()
    if args.list == bool(args.names):
        raise OptionsError("pass the names of weights to download, or --list")
    for name in args.names:
        if name not in PUBLISHED:
            raise OptionsError(
                f"unknown weights {name!r}; the nearest are {nearest(name, PUBLISHED)} (--list shows all)"
            )
    if args.list:
        print(list_weights())
    for name in args.names:
        path = get_published(name)
        option = "--weights_init" if PUBLISHED[name].backbone else "--load_weights_folder"
        print(f"{name} is in '{path}'. Use it with {option} {path if PUBLISHED[name].backbone else name}")


def list_weights() -> str:
    """Format all published weights as a table."""
    rows = [("name", "abs_rel", "licence", "")]
    for name, published in PUBLISHED.items():
        score = f"{published.scores[0]:.3f}" if published.scores else ""
        notes = [
            *(["encoder only, for --weights_init"] if published.backbone else []),
            *(["downloaded"] if find_published(name) else []),
        ]
        rows.append((name, score, published.licence, ", ".join(notes)))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    table = "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    )
    return f"{table}\nabs_rel: as published, on KITTI's Eigen split, median-scaled; empty where none is published"


if __name__ == "__main__":
    run_script(main)
