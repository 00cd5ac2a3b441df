"""What a study maximises on the inner validation parts."""

from collections.abc import Callable

import numpy as np

from regressors.metrics import plcc, rmse, srcc

OBJECTIVES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "srcc": srcc,
    "plcc": plcc,
    "srcc+plcc": lambda mos, found: (srcc(mos, found) + plcc(mos, found)) / 2,
    "rmse": lambda mos, found: -rmse(mos, found),
}
