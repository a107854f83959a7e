"""The file of a back-up: a compressed tar whose last member says what the others must be.

The manifest comes last since only then the digests are known; a file that ends before it is none.
"""

import contextlib
import hashlib
import io
import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

import msgspec

from models.backups.manifests import MANIFEST, BackupError, Manifest, Part

_CHUNK_BYTES: Final = 1_048_576
_MANIFEST_BYTES_MAX: Final = 65_536
# Databases shrink to a third at the first level already, which is as fast as most disks.
_LEVEL: Final = 1


def describe(name: str, path: Path) -> Part:
    """Return what the manifest says of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Part(name=name, bytes=path.stat().st_size, sha256=digest)


def write(target: Path, manifest: Manifest, paths: Sequence[Path]) -> None:
    """Write the parts of a manifest, one path each, and the manifest; all of it or nothing.

    The file is its owner's alone and on disk on return. Raises BackupError when it is there
    already or cannot be written.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=_LEVEL) as tar:
                for each, path in zip(manifest.parts, paths, strict=True):
                    tar.add(path, each.name, filter=_nobody)
                _add_manifest(tar, manifest)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, target)  # unlike a rename it never replaces anything
        _sync_folder(target.parent)
    except FileExistsError:
        raise BackupError(str(target), "there is such a file already") from None
    except OSError as error:
        raise BackupError(str(target), f"cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def unpack(source: Path, folder: Path) -> Manifest:
    """Put the parts into a folder under their names, and return the manifest that they fit.

    Raises BackupError when the file is none of ours, is cut off, or is not as it was written.
    """
    try:
        with tarfile.open(source, mode="r:gz") as tar:
            manifest = _unpack(tar, folder)
    except (tarfile.TarError, EOFError, OSError) as error:
        reason = getattr(error, "strerror", None) or "it is no back-up, or is cut off"
        raise BackupError(str(source), f"cannot be read: {reason}") from error
    if manifest is None:
        raise BackupError(str(source), "it has no manifest: it is no back-up, or is cut off")
    for each in manifest.parts:
        path = folder / each.name
        if not path.is_file() or describe(each.name, path) != each:
            raise BackupError(str(source), f"{each.name} is not as it was written")
    return manifest


def _unpack(tar: tarfile.TarFile, folder: Path) -> Manifest | None:
    for member in tar:
        # Names are put on disk: only plain ones are.
        if not member.isfile() or Path(member.name).name != member.name:
            raise tarfile.TarError(member.name)
        content = tar.extractfile(member)
        assert content is not None, "it is a file"
        if member.name == MANIFEST:
            try:
                return msgspec.json.decode(content.read(_MANIFEST_BYTES_MAX), type=Manifest)
            except msgspec.MsgspecError:
                return None
        with (folder / member.name).open("wb") as file:
            for chunk in _chunks(content):
                file.write(chunk)
    return None


def _chunks(content: IO[bytes]) -> Iterator[bytes]:
    while chunk := content.read(_CHUNK_BYTES):
        yield chunk


def _add_manifest(tar: tarfile.TarFile, manifest: Manifest) -> None:
    encoded = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    info = tarfile.TarInfo(MANIFEST)
    info.size = len(encoded)
    info.mtime = manifest.made_at_ms // 1000
    info.mode = 0o600
    tar.addfile(info, io.BytesIO(encoded))


def _nobody(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who made it: the machine it is restored on has other users."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o600
    return info


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
