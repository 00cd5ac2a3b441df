"""Heads on embeddings, tuned honestly. Arrays in, arrays out.

To add a regressor: a file beside this one with a tuner (see `RidgeTuner`), a line here, and, where
it predicts in a new way, a line in `heads.HEADS`.
"""

from regressors.banded import BandedRidgeTuner
from regressors.elasticnet import ElasticNetTuner
from regressors.ridge import RidgeTuner
from regressors.svr import LinearSVRTuner, SVRTuner

REGRESSORS = {
    "ridge": RidgeTuner,
    "banded-ridge": BandedRidgeTuner,
    "elasticnet": ElasticNetTuner,
    "svr": SVRTuner,
    "svr-linear": LinearSVRTuner,
}
