"""Get published weights by name: download, verify, unpack, and keep them in ``weights/``.

| path | content |
| --- | --- |
| ``weights/NAME/`` | a weights folder, complete as soon as it exists |
| ``weights/NAME.pth``, ``.h5``, ``.pdparams`` | the initialisation of an encoder |
| ``weights/NAME.zip`` | an archive that the user has put there, read instead of a download |
| ``weights/.downloads/NAME/`` | the download, resumed by its size, and ``lock`` |
"""

import contextlib
import hashlib
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from common.atomic_files import atomic_file, atomic_folder, resolve_complete_dir
from common.connection import check_connection
from common.errors import DataError, WeightsError
from common.folder_lock import FolderInUseError, lock_folder
from common.progress import ThreadedProgress
from common.zip_archives import ZIP_FAULTS, leaves_folder, opened_zip
from serialization.formats import ENDINGS, READERS, any_of
from serialization.manifest import write_manifest
from serialization.published_weights import DEFAULT_WEIGHTS, PUBLISHED, SHIPPED_WEIGHTS, WEIGHTS_DIR

ROLES = ("encoder", "depth", "pose_encoder", "pose")  # networks that published archives contain
NEEDED = ROLES[:2]
LARGEST = 1 << 30  # bytes of a download, and of an unpacked archive
_MB, _CHUNK = 1e6, 1 << 20
_POLL = 1.0  # seconds between looks at another process's lock
_DOWNLOADS, _LOCK, _FILE = ".downloads", "lock", "file"


def resolve_weights(folder: str | Path, weights_dir: Path = WEIGHTS_DIR) -> str:
    """Return the path of a weights folder; get the weights if ``folder`` is the name of published ones.

    ``SHIPPED_WEIGHTS`` is a name, too. A local folder of that name, relative to the current folder, has precedence.

    Raises:
        WeightsError: the weights cannot be downloaded or are damaged, or they are not those of a weights folder.
    """
    name = str(folder)
    if name not in (*PUBLISHED, SHIPPED_WEIGHTS) or resolve_complete_dir(Path(name).absolute()).is_dir():
        return name
    if name == SHIPPED_WEIGHTS:
        return str(weights_dir / name)
    if PUBLISHED[name].backbone:
        raise WeightsError(
            f"{name} is the initialisation of an encoder, not a weights folder. Get it with python "
            f"tools/get_weights.py {name}, and pass the file to --weights_init."
        )
    return str(get_published(name, weights_dir))


def default_weights(weights_dir: Path = WEIGHTS_DIR) -> str:
    """Return the folder of ``DEFAULT_WEIGHTS``, or of ``SHIPPED_WEIGHTS`` if they cannot be downloaded; print which.

    Raises:
        WeightsError: Both are missing.
    """
    try:
        folder = resolve_weights(DEFAULT_WEIGHTS, weights_dir)
    except WeightsError as fault:
        shipped = weights_dir / SHIPPED_WEIGHTS
        if not shipped.is_dir():
            raise
        print(f"{fault}\nPredicting with '{shipped}' instead: trained on rendered streets, see its README.md")
        return str(shipped)
    print(f"Weights: {DEFAULT_WEIGHTS}, published; --load_weights_folder selects others")
    return folder


def find_published(name: str, weights_dir: Path = WEIGHTS_DIR) -> Path | None:
    """Return the folder, or file, of published weights that are there already; None if they are not."""
    if PUBLISHED[name].backbone:
        files = (weights_dir / f"{name}{ending}" for ending in READERS)
        return next((path for path in files if path.is_file()), None)
    folder = resolve_complete_dir(weights_dir / name)
    return folder if all(any(folder.glob(f"{role}.*")) for role in NEEDED) else None


def get_published(name: str, weights_dir: Path = WEIGHTS_DIR) -> Path:
    """Return the folder, or file, of published weights; download them if they are not there.

    Of several processes, one downloads, and the others wait for it.

    Args:
        name: a key of ``PUBLISHED``.
        weights_dir: where weights are kept.

    Raises:
        WeightsError: the download failed, or is damaged.
        UserError: ``weights_dir`` cannot be written.
    """
    found = find_published(name, weights_dir)
    if found:
        return found
    staging = weights_dir / _DOWNLOADS / name
    with _waiting_lock(staging / _LOCK, name):
        found = find_published(name, weights_dir)  # another process may have got them meanwhile
        if found:
            return found
        archive = weights_dir / f"{name}.zip"
        is_own = archive.is_file()
        if not is_own:
            archive = _download(name, staging, weights_dir)
        try:
            _check(name, archive)
            goal = (_keep_file if PUBLISHED[name].backbone else _unpack)(name, archive, weights_dir)
        except WeightsError as fault:
            if is_own:
                raise
            archive.unlink(missing_ok=True)
            raise WeightsError(
                f"{fault} The download was deleted. Run the same command again, or {_by_hand(name, weights_dir)}"
            ) from fault
        if not is_own:
            archive.unlink(missing_ok=True)  # a single file was moved
    print(f"{name}: saved to '{goal}'", flush=True)
    return goal


@contextlib.contextmanager
def _waiting_lock(path: Path, name: str) -> Iterator[None]:
    """Hold the lock of a download; wait while another process holds it."""
    said = False
    while True:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(lock_folder(path))
            except FolderInUseError as holder:
                if not said:
                    print(f"{name}: waiting for {holder}, which downloads it", flush=True)
                said = True
                time.sleep(_POLL)
                continue
            yield
            return


def _download(name: str, staging: Path, weights_dir: Path) -> Path:
    """Download the file of published weights to ``staging``; an interrupted download is resumed."""
    from common.download import HttpSource  # requests is needed only here, and takes 0.2 s

    published = PUBLISHED[name]
    print(f"{name}: downloading {published.url}\nLicence of these weights: {published.licence}", flush=True)
    server, path = published.download
    try:
        check_connection(server)
        source = HttpSource(server, threading.Event())
        size = source.size(path)
        if size > LARGEST:
            raise DataError(f"{published.url} has {size / _MB:.0f} MB, expected at most {LARGEST / _MB:.0f} MB.")
        with ThreadedProgress(round(size / _MB), "MB") as line:
            return source.fetch(path, staging, size, lambda count: line.add(count / _MB), name=_FILE)
    except (DataError, OSError) as fault:
        raise WeightsError(
            f"{name} is not in '{weights_dir}', and the download failed: {str(fault).rstrip('.')}. Or "
            f"{_by_hand(name, weights_dir)}"
        ) from fault


def _by_hand(name: str, weights_dir: Path) -> str:
    """Return how to get the weights without this program, to follow "or"."""
    url, backbone = PUBLISHED[name].url, PUBLISHED[name].backbone
    place = f"save it as '{weights_dir / name}{any_of(READERS)}'"
    if not backbone:
        place = f"save the archive as '{weights_dir / name}.zip', or unpack it to '{weights_dir / name}'"
    return f"open {url} in a browser, also on another machine, and {place}."


def _check(name: str, archive: Path) -> None:
    """Check the hashes that are published, and that the file is no web page.

    Raises:
        WeightsError: the file is not what was published.
    """
    published = PUBLISHED[name]
    with open(archive, "rb") as stream:
        if stream.read(64).lstrip()[:1] == b"<":
            raise WeightsError(f"{published.url}: the server sent a web page instead of a file.")
        stream.seek(0)
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        while chunk := stream.read(_CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
    if published.md5 and md5.hexdigest() != published.md5:
        raise WeightsError(f"'{archive}' is damaged: its MD5 is {md5.hexdigest()}, expected {published.md5}.")
    if not sha256.hexdigest().startswith(published.sha256):
        raise WeightsError(
            f"'{archive}' is damaged: its SHA-256 is {sha256.hexdigest()}, expected {published.sha256}..."
        )


def _unpack(name: str, archive: Path, weights_dir: Path) -> Path:
    """Unpack the networks of an archive to ``weights_dir/NAME``, which exists only when it is complete."""
    goal = weights_dir / name
    with opened_zip(archive, WeightsError) as contents:
        members = _networks(contents, archive)
        with atomic_folder(goal) as folder:
            for file, member in members.items():
                _write_member(contents, member, folder / file)
            write_manifest(folder)
    return goal


def _networks(contents: zipfile.ZipFile, archive: Path) -> dict[str, zipfile.ZipInfo]:
    """Return file name -> member of the networks in an archive, in whatever folder of it they are.

    Raises:
        WeightsError: a path leads outside the archive's folder, a network is missing or contained twice, or the content
            is too large.
    """
    members: dict[str, zipfile.ZipInfo] = {}
    files = {f"{role}{ending}" for role in ROLES for ending in ENDINGS}
    for member in contents.infolist():
        if leaves_folder(member.filename):
            raise WeightsError(f"'{archive}' is unsafe: its member '{member.filename}' leads outside the folder.")
        file = PurePosixPath(member.filename).name
        if member.is_dir() or file not in files:
            continue
        if file in members:
            raise WeightsError(f"'{archive}' contains {members[file].filename} and {member.filename}, expected one.")
        members[file] = member
    missing = [role for role in NEEDED if not any(PurePosixPath(file).stem == role for file in members)]
    if missing:
        found = ", ".join(member.filename for member in contents.infolist()[:8])
        raise WeightsError(
            f"'{archive}' contains no {' and '.join(f'{role}{any_of(ENDINGS)}' for role in missing)}, found: "
            f"{found or 'nothing'}."
        )
    size = sum(member.file_size for member in members.values())
    if size > LARGEST:
        raise WeightsError(f"'{archive}' unpacks to {size / _MB:.0f} MB, expected at most {LARGEST / _MB:.0f} MB.")
    return members


def _write_member(contents: zipfile.ZipFile, member: zipfile.ZipInfo, goal: Path) -> None:
    """Write a member. Reading checks its CRC-32, and ends at its stated size."""
    with atomic_file(goal) as stream:
        try:
            with contents.open(member) as source:
                while chunk := source.read(_CHUNK):
                    stream.write(chunk)
        except ZIP_FAULTS as fault:
            raise WeightsError(
                f"'{contents.filename}' is damaged: '{member.filename}' cannot be read ({fault})."
            ) from fault


def _keep_file(name: str, archive: Path, weights_dir: Path) -> Path:
    """Keep the initialisation of an encoder: the file itself, or the only weights file of an archive."""
    with open(archive, "rb") as stream:
        head = stream.read(8)
    if head.startswith(b"\x89HDF"):
        return archive.replace(weights_dir / f"{name}.h5")
    if not head.startswith(b"PK"):  # a pickle; the reader checks it
        return archive.replace(weights_dir / f"{name}.pth")
    with opened_zip(archive, WeightsError) as contents:
        members = [member for member in contents.infolist() if not member.is_dir()]
        if any(PurePosixPath(member.filename).name == "data.pkl" for member in members):  # PyTorch's own zip format
            return archive.replace(weights_dir / f"{name}.pth")
        found = [member for member in members if PurePosixPath(member.filename).suffix in READERS]
        if len(found) != 1 or found[0].file_size > LARGEST:
            names = ", ".join(member.filename for member in members[:8])
            raise WeightsError(f"'{archive}' should contain one {any_of(READERS)} file, found: {names or 'nothing'}.")
        goal = weights_dir / f"{name}{PurePosixPath(found[0].filename).suffix}"
        _write_member(contents, found[0], goal)
    return goal
