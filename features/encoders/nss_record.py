"""The 36 natural-scene statistics as an encoder: no network, no weights."""

import numpy as np

from features.encoders.base import Encode, Encoder
from features.encoders.nss import NSS_DIMS, NSS_MIN_SIDE, nss_embedding


def _build(options, path, device) -> Encode:
    return lambda pictures: np.stack([nss_embedding(picture) for picture in pictures])


NSS = Encoder(
    name="nss",
    summary="natural-scene statistics of BRISQUE, two scales",
    paper="https://doi.org/10.1109/TIP.2012.2214050",
    licence="Apache-2.0",
    version=1,
    views={"picture": "whole", "grey": "BT.601", "resize": "bicubic to half"},
    n_dims=lambda options: NSS_DIMS,
    build=_build,
    min_side=lambda options: NSS_MIN_SIDE,
)
