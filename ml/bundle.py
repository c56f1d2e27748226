"""A model as a folder: `manifest.json` and the files it names, each under its digest. JSON, UBJ and safetensors, never pickle."""

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from ml.forecast import Manifest, SavedModel

MANIFEST: Final = "manifest.json"
MAX_FILE_BYTES: Final = 512 << 20
"""Of one file: more is no model of ours, and would fill the memory."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}\.(json|ubj|safetensors)")
_CLASSES: Final = {
    "naive": ("ml.models.naive", "Naive"),
    "xgboost": ("ml.models.trees", "Trees"),
    "forest": ("ml.models.trees", "Trees"),
    "linear": ("ml.models.linear", "Linear"),
    "garch": ("ml.models.garch", "Garch"),
    "lstm": ("ml.models.lstm", "Lstm"),
    "stack": ("ml.models.stack", "Stack"),
}
"""Kind -> where its class is; imported when a model of that kind is loaded."""
KINDS: Final = tuple(_CLASSES)
OF_SEQUENCES: Final = ("lstm",)
"""Kinds that take the last rows of a symbol, not one: trained and compared, not served."""


class BadBundle(ValueError):
    """The folder is not what was saved; says which file, and what to do."""


def model_of(manifest: Manifest, files: Mapping[str, bytes]) -> SavedModel:
    """BadBundle when there is no such kind."""
    try:
        module, name = _CLASSES[manifest.kind]
    except KeyError:
        raise BadBundle(f"kind: {manifest.kind!r} is not one of {', '.join(KINDS)}; update Raypit") from None
    made: Any = getattr(import_module(module), name).of(manifest, files)
    return cast(SavedModel, made)


def save(model: SavedModel, folder: Path) -> Manifest:
    """All or nothing into a `folder` that does not exist; the manifest as written, digests in it. FileExistsError."""
    if folder.exists():
        raise FileExistsError(f"{folder}: is there already; a version is never written twice")
    files = model.files()
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    manifest = msgspec.structs.replace(model.manifest, files=digests)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    draft.mkdir(mode=0o700)
    try:
        for name, content in files.items():
            _write(draft / _safe(name), content)
        _write(draft / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        os.rename(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """BadBundle when it is missing or says nonsense."""
    try:
        return msgspec.json.decode(_read(folder / MANIFEST), type=Manifest)
    except msgspec.MsgspecError as error:
        raise BadBundle(f"{folder / MANIFEST}: {error}; train or restore this model again") from None


def load(folder: Path) -> SavedModel:
    """BadBundle when a file is missing or not the one that was saved."""
    manifest = read_manifest(folder)
    files = {}
    for name, digest in manifest.files.items():
        content = _read(folder / _safe(name))
        if hashlib.sha256(content).hexdigest() != digest:
            raise BadBundle(f"{folder / name}: is not the file that was saved; train or restore this model again")
        files[name] = content
    return model_of(manifest, files)


def _safe(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadBundle(f"files: {name!r} is no name of a model's file")
    return name


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadBundle(f"{path}: is larger than {MAX_FILE_BYTES:,} bytes; that is no model of Raypit")
        return path.read_bytes()
    except OSError as error:
        raise BadBundle(f"{path}: {error.strerror}; train or restore this model again") from None


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
