"""The cache key: all that can change a number of an embedding, and nothing else.

Library versions, device and date cannot be known to change a number; they are provenance, kept with
each shard.
"""

from pathlib import Path

from features.decode import DECODING
from features.errors import InputError, UsageError
from features.files import digest
from features.names import Request
from features.weights import weight_sha256

ENGINE = "torch"
KEY_LENGTH = 12


def settings_of(
    request: Request, weights: Path, precision: str = "fp32", variant: str = ""
) -> dict:
    """Return the settings of one encoder as they go into settings.json and into the key.

    Parameters
    ----------
    weights : the folder searched for weight files
    variant : of the database, where one exists in several versions of its pictures

    Raises
    ------
    MissingWeights
        When the encoder's weight file is not there.
    UsageError
        When the encoder does not offer the precision.
    """
    encoder = request.encoder
    if precision not in encoder.precisions:
        raise UsageError(
            f"--precision {precision}: {encoder.name} offers {', '.join(encoder.precisions)}"
        )
    n_dims = encoder.n_dims(request.values)  # refuses options that do not go together
    files = {file.filename: file.find(weights) for file in encoder.files(request.values)}
    return {
        "encoder": request.name,
        "version": encoder.version,
        "options": request.values,
        "weights": {name: weight_sha256(path) for name, path in files.items()},
        "views": dict(encoder.views),
        "precision": precision,
        "engine": ENGINE,
        "decoding": DECODING,
        "variant": variant,
        "n_dims": n_dims,
    }


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
