"""The machine's rate: the most matrix arithmetic that this processor does, by any library at hand.

    python benchmarks/matrix.py

Square products, and those that convolutions of ResNet-50 become, at the threads that torch takes by
itself. `torch.mm` in float32 is MKL's, the others are oneDNN's; the best of all is the rate.
"""

import importlib.util
import statistics
import time
from collections.abc import Callable, Container

import torch

# rows, inner, columns of a product
SHAPES = (
    *((side, side, side) for side in (2048, 3072, 4096, 6144)),
    (49152, 576, 64),
    (12288, 1152, 128),
    (12288, 512, 256),
    (3072, 2304, 256),
    (3072, 1024, 512),
)
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
REPEATS = 3


def rates(
    precision: str, only: Container[str] | None = None, fast: bool = False
) -> dict[str, float]:
    """Return GFLOP/s by library and shape, two operations for each multiply-add.

    Each is the median of a few runs, after one that warms up.

    Parameters
    ----------
    only : of the names that this returns; all when not given
    fast : leave out what takes seconds
    """
    torch.manual_seed(0)
    found = {}
    for rows, inner, columns in SHAPES:
        shape = f"{rows}x{inner}x{columns}"
        wanted = [name for name in LIBRARIES if only is None or f"{name}, {shape}" in only]
        if not wanted or (fast and rows * inner * columns > 2048**3):
            continue
        work = 2e-9 * rows * inner * columns
        a = torch.randn(rows, inner).to(TYPES[precision])
        b = torch.randn(inner, columns).to(TYPES[precision])
        with torch.inference_mode():
            for name in wanted:
                seconds = _seconds(LIBRARIES[name](a, b, precision))
                found[f"{name}, {shape}"] = work / statistics.median(seconds)
    return found


def _mm(a: torch.Tensor, b: torch.Tensor, precision: str) -> Callable[[], object]:
    return lambda: torch.mm(a, b)


def _onednn(a: torch.Tensor, b: torch.Tensor, precision: str) -> Callable[[], object]:
    packed, weights = a.to_mkldnn(), b.t().contiguous().to_mkldnn()
    return lambda: torch.nn.functional.linear(packed, weights)


def _openvino(a: torch.Tensor, b: torch.Tensor, precision: str) -> Callable[[], object]:
    """Return the product as a compiled model with `b` inside, as a network holds its weights."""
    import openvino

    ops, hint = openvino.opset13, {"fp32": "f32", "bf16": "bf16"}[precision]
    parameter = ops.parameter(list(a.shape), openvino.Type.f32)
    product = ops.matmul(parameter, ops.constant(b.float().numpy()), False, False)
    model = openvino.Model([product], [parameter])
    settings = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    request.set_input_tensor(openvino.Tensor(a.float().numpy()))
    return request.infer


# library -> (a, b, precision) -> what multiplies (rows, inner) by (inner, columns)
LIBRARIES = {"torch.mm": _mm}
if torch.backends.mkldnn.is_available():
    LIBRARIES["torch's oneDNN"] = _onednn
if importlib.util.find_spec("openvino"):
    LIBRARIES["OpenVINO"] = _openvino


def _seconds(product: Callable[[], object]) -> list[float]:
    product()
    seconds = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - begun)
    return seconds


def main() -> None:
    """Print every rate."""
    for precision in TYPES:
        found = rates(precision)
        best = max(found, key=found.__getitem__)
        for name, rate in found.items():
            print(f"{precision}  {rate:8.1f} GFLOP/s  {name}{'  best' if name == best else ''}")


if __name__ == "__main__":
    main()
