"""The cache key: all that can change a number of an embedding, and nothing else.

Library versions, device and date cannot be known to change a number; they are provenance, kept with
each shard.
"""

from pathlib import Path

from features.decode import DECODING
from features.errors import InputError, UsageError
from features.files import digest
from features.names import Request
from features.runtime import BUDGET, Runtime
from features.weights import weight_sha256

KEY_LENGTH = 12
STORED = ("float32", "float16")


def stored_of(settings: dict) -> str:
    """Return the type of the numbers in the shards of some settings."""
    return settings.get("stored", STORED[0])


def settings_of(
    request: Request,
    weights: Path,
    runtime: Runtime = Runtime(),
    variant: str = "",
    stored: str = STORED[0],
) -> dict:
    """Return the settings of one encoder as they go into settings.json and into the key.

    Parameters
    ----------
    weights : the folder searched for weight files
    runtime : what computes; an encoder without a network goes without it (see `runtime_of`)
    variant : of the database, where one exists in several versions of its pictures
    stored : the type of the numbers in the shards, of `STORED`; float16 halves the space, at a
        relative error of 2^-11 (see `features.cache.shards.storable`)

    Raises
    ------
    MissingWeights
        When the encoder's weight file is not there.
    UsageError
        When options do not go together, or numbers cannot be stored like that.
    """
    encoder, runtime = request.encoder, runtime_of(request, runtime)
    n_dims = encoder.n_dims(request.values)  # refuses options that do not go together
    files = {file.filename: file.find(weights) for file in encoder.files(request.values)}
    if stored not in STORED:
        raise UsageError(f"numbers can be stored as {' or '.join(STORED)}, not as {stored!r}")
    settings = {
        "encoder": request.name,
        "version": encoder.version,
        "options": request.values,
        "weights": {name: weight_sha256(path) for name, path in files.items()},
        "views": dict(encoder.views),
        "precision": runtime.precision,
        "engine": runtime.engine,
        "decoding": DECODING,
        "variant": variant,
        "n_dims": n_dims,
    }
    # no key for what always was: the folders of before keep their names
    if stored != STORED[0]:
        settings["stored"] = stored
    if runtime.budget != BUDGET:
        settings["budget"] = runtime.budget
    return settings


def runtime_of(request: Request, runtime: Runtime) -> Runtime:
    """Return what computes an encoder: a network by the runtime, anything else by itself."""
    return runtime if request.encoder.network else Runtime()


def key_of(settings: dict) -> str:
    """Return the cache key of some settings: 12 hexadecimal digits, the folder's name."""
    return digest(settings)[:KEY_LENGTH]


def check_key(settings: dict, folder: Path) -> None:
    """Refuse a folder whose settings are not those that its name was made from.

    Raises
    ------
    InputError
        When settings.json was changed, or the folder renamed.
    """
    if key_of(settings) != folder.name:
        raise InputError(
            f"{folder}/settings.json differs from the settings that its embeddings were made with: "
            "remove the folder and extract again"
        )
