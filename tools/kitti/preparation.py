"""Complete a KITTI tree for given splits, starting from an empty or a partial tree."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from common.download import HttpSource, LocalSource, StoppedError
from common.errors import DataError
from common.folder_lock import FolderInUseError, lock_folder
from tools.kitti.archives import Archive
from tools.kitti.jpeg_conversion import convert_png, is_complete
from tools.kitti.required_files import RequiredFiles
from tools.kitti.unpacking import DamagedArchiveError, StagingDir, in_parallel

STAGING_DIR = ".preparation"
ARCHIVES = "archives"
SHOWN = 5  # errors listed individually
# Upper bounds for unpacked size / archive size: grey images are skipped, and a JPEG is a fraction of its PNG.
LEFT_WITH_PNG, LEFT_WITH_JPG = 1.0, 0.75


@contextmanager
def exclusive_run(data_path: Path) -> Iterator[None]:
    """Lock a data folder against concurrent runs.

    Raises:
        DataError: another run holds the lock.
        UserError: the folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(lock_folder(data_path / STAGING_DIR / "lock"))
        except FolderInUseError as holder:
            raise DataError(f"Another run is preparing '{data_path}' ({holder}). Wait for it, or stop it.") from None
        yield


@contextmanager
def disk_errors(data_path: Path) -> Iterator[None]:
    """Convert file system errors in the block to ``DataError``.

    Raises:
        DataError: a file could not be read or written.
    """
    try:
        yield
    except OSError as fault:
        raise DataError(
            f"'{fault.filename or data_path}': {fault.strerror or fault}. Fix this (free space, permissions) and run "
            "the same command again to resume."
        ) from fault


def merge_required_files(required: Iterable[dict[Archive, RequiredFiles]]) -> dict[Archive, RequiredFiles]:
    """Merge the required files of several splits into one entry per archive."""
    archives: dict[str, Archive] = {}
    together: dict[str, RequiredFiles] = {}
    for one in required:
        for archive, needed in one.items():
            known = archives.get(archive.path, archive)
            archives[archive.path] = replace(known, parts=known.parts | archive.parts)
            together.setdefault(archive.path, RequiredFiles()).add(needed)
    return {archives[path]: needed for path, needed in together.items()}


class Preparation:
    """Steps that complete a data folder; each step can be interrupted and repeated.

    Args:
        data_path: the data folder.
        required: required files by archive.
        source: source of the archives.
        pool: executor for unpacking, conversion and checks.
        stop: event that stops all threads; shared with the source.
        png: whether to keep images as PNG.
        keep_archives: whether to keep archives in ``DATA_PATH/archives``.
    """

    def __init__(
        self,
        data_path: Path,
        required: dict[Archive, RequiredFiles],
        source: HttpSource | LocalSource,
        pool: Executor,
        stop: threading.Event,
        *,
        png: bool,
        keep_archives: bool,
    ) -> None:
        self._data_path, self._required, self._source = data_path, required, source
        self._pool, self._stop = pool, stop
        self._png, self._keep_archives = png, keep_archives
        self._work = StagingDir(data_path, data_path / STAGING_DIR)
        self._archives = data_path / ARCHIVES

    def resume(self) -> None:
        """Publish archives that an interrupted run unpacked but did not publish."""
        for name in self._work.left_over():
            self._drop(self._archives / name)
            self._work.publish(name)

    def pngs(self) -> list[Path]:
        """List the PNG images to convert to JPEG, in all required folders."""
        if self._png:
            return []
        files = (file for archive, needed in self._required.items() if archive.photos for file in needed.files)
        folders = {self._data_path / file.rpartition("/")[0] for file in files}
        return sorted(path for folder in folders if folder.is_dir() for path in folder.glob("*.png"))

    def convert(self, pngs: list[Path], on_image: Callable[[], None]) -> None:
        """Convert PNG images to JPEG; an undecodable one stays in place, and its JPEG is reported as missing."""

        def convert(png: Path) -> None:
            self._check_stop()
            with suppress(ValueError):
                convert_png(png)
            on_image()

        in_parallel(self._pool, convert, pngs)

    def missing(self) -> dict[Archive, list[str]]:
        """List the archives that are still required, each with its missing or truncated files, sorted.

        An archive without known files, such as training depth maps, is required until it has been unpacked.
        """
        lacking = in_parallel(self._pool, self._lacking, self._required)
        return {archive: files for archive, files in zip(self._required, lacking, strict=True) if files is not None}

    def _lacking(self, archive: Archive) -> list[str] | None:
        needed = self._required[archive]
        unpacked = archive.parts <= self._work.parts(archive)
        wanted = needed.files if unpacked else needed.files | needed.scans
        lacking = sorted(file for file in wanted if not is_complete(self._data_path / file))
        there = not lacking and (unpacked or bool(wanted))
        return None if there else lacking

    def sizes(self, archives: Iterable[Archive]) -> dict[Archive, int]:
        """Get the size of each archive in bytes, largest first.

        Raises:
            DataError: archives are unavailable.
        """

        def size(archive: Archive) -> int | DataError:
            try:
                return self._source.size(archive.path)
            except DataError as fault:
                return fault

        archives = list(archives)
        sizes = dict(zip(archives, in_parallel(self._pool, size, archives), strict=True))
        faults = [str(fault) for fault in sizes.values() if isinstance(fault, DataError)]
        if faults:
            shown = "\n".join([*faults[:SHOWN], *(["..."] if len(faults) > SHOWN else [])])
            raise DataError(f"{len(faults)} of {len(sizes)} archives are unavailable:\n{shown}")
        return dict(sorted(sizes.items(), key=lambda item: -item[1]))

    def space_needed(self, sizes: dict[Archive, int], at_once: int) -> int:
        """Estimate the free space in bytes (an upper bound) to fetch and unpack archives, ``at_once`` in parallel."""
        left = sum(sizes.values()) * (LEFT_WITH_PNG if self._png else LEFT_WITH_JPG)
        if not self._source.temporary:
            return int(left)
        coming = [size - self._held(archive) for archive, size in sizes.items()]
        return int(left + sum(coming if self._keep_archives else sorted(coming)[-at_once:]))

    def _held(self, archive: Archive) -> int:
        names = (archive.name, f"{archive.name}.part")
        return sum(path.stat().st_size for name in names if (path := self._archives / name).is_file())

    def fetch(
        self,
        sizes: dict[Archive, int],
        at_once: int,
        on_bytes: Callable[[float], None],
        note: Callable[[str], None],
    ) -> None:
        """Fetch archives and unpack them into the data folder.

        A damaged archive does not prevent the others from being unpacked; any other error stops all work.

        Args:
            sizes: bytes of each archive.
            at_once: number of archives to fetch and unpack in parallel.
            on_bytes: called from any thread with the number of processed archive bytes; a downloaded byte counts half
                when fetched and half when unpacked.
            note: called from any thread with a line to print.

        Raises:
            DataError: archives are damaged, the source fails, or the disk is full.
        """
        damaged = []
        with ThreadPoolExecutor(at_once) as threads:
            tasks = [threads.submit(self._obtain, archive, size, on_bytes, note) for archive, size in sizes.items()]
            try:
                for task in as_completed(tasks):
                    try:
                        task.result()
                    except DamagedArchiveError as fault:
                        damaged.append(str(fault))
            except BaseException:
                self._stop.set()
                for task in tasks:
                    task.cancel()
                raise
        with suppress(OSError):  # not empty (kept archives), or never created
            self._archives.rmdir()
        if damaged:
            raise DataError("\n".join(damaged))

    def _obtain(
        self, archive: Archive, size: int, on_bytes: Callable[[float], None], note: Callable[[str], None]
    ) -> None:
        with disk_errors(self._data_path):
            try:
                path, count = self._unpacked(archive, size, on_bytes)
            except DamagedArchiveError as fault:
                if not self._source.temporary:
                    raise
                note(f"{fault} Downloading it again.")
                path, count = self._unpacked(archive, size, on_bytes)
            # Delete the archive before publishing: after a kill in between, the unpublished tree completes the work.
            self._drop(path)
            self._work.publish(archive.name)
        note(f"{archive.name}: {count} files")

    def _unpacked(self, archive: Archive, size: int, on_bytes: Callable[[float], None]) -> tuple[Path, int]:
        """Fetch and unpack an archive; delete it if it was downloaded and is damaged.

        Returns:
            The archive's file, the number of unpacked files.
        """
        fetching = 0.5 if self._source.temporary else 0.0  # share of the progress
        path = self._source.fetch(archive.path, self._archives, size, lambda count: on_bytes(count * fetching))
        unpacked: list[int] = []

        def on_file(count: int) -> None:
            self._check_stop()
            unpacked.append(count)
            on_bytes(count * (1 - fetching))

        try:
            count = self._work.unpack(path, archive, not self._png, self._pool, on_file)
        except DamagedArchiveError:
            on_bytes(-size * fetching - sum(unpacked) * (1 - fetching))
            if self._source.temporary:
                path.unlink()
            raise
        on_bytes((size - sum(unpacked)) * (1 - fetching))  # members that were not selected
        return path, count

    def _drop(self, path: Path) -> None:
        """Delete an archive after use if it is a downloaded copy and ``keep_archives`` is off."""
        if self._source.temporary and not self._keep_archives:
            path.unlink(missing_ok=True)

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise StoppedError
