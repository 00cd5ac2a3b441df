"""The regressors by name."""

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
