"""Fetch and verify the published split lists by SHA-256."""

import hashlib
from pathlib import Path

from common.atomic_files import atomic_file
from common.download import HttpSource, LocalSource
from common.errors import DataError

SERVER = "https://raw.githubusercontent.com/nianticlabs/monodepth2/master/splits"
SHA256: dict[str, dict[str, str]] = {
    "eigen_zhou": {
        "train_files.txt": "00173a231642151c4693274e701ddd4cae7916520a757c7a94eae8e1173f7b0c",
        "val_files.txt": "64a868b8d2c66c3979a2d74c22ea2e9146850d5b9f5786ed8e5f92201ba1ad04",
    },
    "eigen_full": {
        "train_files.txt": "1b491141d87b7af9e6706609b7ce858c198c3a4ca61d180c7dc90815d5f2a986",
        "val_files.txt": "9c4446772ec58aaa60acbeef0fa6d1e8ef1b346ad4f78272d056d10cf1993af9",
    },
    "eigen": {
        "test_files.txt": "e226d4ca16e0e6e9695435014347dcf973588531330536fd8a68d298ef091a6b",
    },
    "eigen_benchmark": {
        "test_files.txt": "d56e5e509e6960a01fb93795f85028ac6e4a82ad40e64b6e968988e4db95b9be",
    },
    "benchmark": {
        "eigen_to_benchmark_ids.npy": "1c1ac4ea84c938622f228a4438661fdb66ec07a2380a54bd21cd28b6eeb1a4e8",
        "test_files.txt": "b9b0746d2e5263d975fd082d6e82d592971adc9e6a2fdf370a8cf78519161d28",
        "train_files.txt": "060fdce26c5cd0681b6cc7620a856c697caa78fd23ab7a9ba41fb39c70ae3860",
        "val_files.txt": "5c65577de234037bec0c792d7bf44c60b7fb367449266054eb4612a5e92bfa08",
    },
    "odom": {
        "test_files_09.txt": "8b999b6f974041663ba2f8aa6456ea338089a272119b7edd702f352278f43d26",
        "test_files_10.txt": "f39c47e0c21f65d4503476375f2a786def34f54bd5d1cabf28c7e68f002986a1",
        "train_files.txt": "ced6c5fd1b0b76e2a28d68e046421c1f0df08de8fb713ca305684d263af6d0e2",
        "val_files.txt": "9cf46e1b873d6f9883015b1f77fcace51db424a1f0a765324957f46399b6db99",
    },
}


def fetch_lists(name: str, folder: Path, source: HttpSource | LocalSource) -> list[Path]:
    """Fetch the missing files of a published split; write each one atomically.

    Args:
        name: one of ``datasets.splits.PUBLISHED_SPLITS``.
        folder: folder of the split.
        source: source that provides ``NAME/FILE``.

    Returns:
        The written files.

    Raises:
        DataError: a file is unavailable or differs from the published one.
    """
    written = []
    for file, expected in SHA256[name].items():
        path = folder / file
        if path.exists():
            continue
        content = source.read(f"{name}/{file}")
        if (found := hashlib.sha256(content).hexdigest()) != expected:
            raise DataError(
                f"'{name}/{file}' differs from the published list: SHA-256 {found}, expected {expected}. Nothing was "
                "written; get the file from another place and pass its folder to --source."
            )
        with atomic_file(path) as stream:
            stream.write(content)
        written.append(path)
    return written


def altered_lists(name: str, folder: Path) -> list[Path]:
    """List files in the folder of a published split that have a published name but other content."""
    paths = {folder / file: expected for file, expected in SHA256[name].items()}
    return [
        path for path, sha in paths.items() if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != sha
    ]
