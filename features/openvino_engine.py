"""OpenVINO as the engine on the CPU.

A network is converted once, when its first batch comes, with a batch of any size, and where it is
convolutional of any height and width: a new shape then costs some hundredths of a second.
"""

import contextlib
import queue
import threading
import warnings

import numpy as np
import openvino
import torch
from openvino import opset13 as ops

from features.errors import InputError
from features.runtime import IN_LANE

# Unasked, OpenVINO computes in bfloat16 where the processor has it.
_HINTS = {"fp32": openvino.Type.f32, "bf16": openvino.Type.bf16}
# How many layers, each for one shape, OpenVINO keeps ready where heights and widths vary. With its
# own limit, ten times as high, every new shape takes some 8 MB for good, gigabytes in all; this one
# costs no time. Where only batches vary, the own limit holds: Swin-T has 300 layers for each.
_KEPT = 500
# Sides, in pixels, of what a convolutional network is traced on: any size gives the same graph.
_EXAMPLE = 128


class Compiled:
    """A torch module as OpenVINO computes it; threads may call it at once.

    Parameters
    ----------
    module : takes and returns tensors; their first axis is the batch
    precision : "fp32" or "bf16"
    lanes : how many inputs are computed at once where `IN_LANE` says so; above 0, the second and
        third axis of the first input vary, too
    """

    def __init__(self, module: torch.nn.Module, precision: str, lanes: int = 0) -> None:
        self._module: torch.nn.Module | None = module.eval()
        self._precision = precision
        self._lanes = lanes
        self._converted: openvino.Model | None = None
        self._lock = threading.Lock()
        self.models: dict[int, openvino.CompiledModel] = {}  # number of lanes -> the network
        self._requests: dict[int, queue.SimpleQueue] = {}  # those that no thread has in hand

    def __call__(self, *inputs: np.ndarray | torch.Tensor) -> torch.Tensor | tuple:
        """Return what the module gives: one tensor, or a tuple of them."""
        arrays = [np.ascontiguousarray(_array(one)) for one in inputs]
        lanes = max(1, self._lanes if IN_LANE.get() else 1)
        with self._lock:
            if lanes not in self.models:
                self._compile(arrays, lanes)
        requests = self._requests[lanes]
        request = requests.get()
        try:
            request.infer(arrays, share_inputs=True)
            # copies: the next batch will be written where these lie
            results = tuple(torch.from_numpy(o.data.copy()) for o in request.output_tensors)
        finally:
            requests.put(request)
        return results[0] if len(results) == 1 else results

    def _compile(self, arrays: list[np.ndarray], lanes: int) -> None:
        if self._converted is None:
            self._converted = self._convert(arrays)
        hint = _HINTS[self._precision]
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": lanes,
            "ENABLE_CPU_PINNING": False,  # decoding runs beside it, and so may other processes
        }
        if self._lanes:
            settings["CPU_RUNTIME_CACHE_CAPACITY"] = _KEPT
        model = openvino.Core().compile_model(self._converted, "CPU", settings)
        if model.get_property("INFERENCE_PRECISION_HINT") != hint:
            raise InputError(
                f"--precision {self._precision}: OpenVINO does not offer it on this processor; "
                "leave it out for fp32, or use --engine torch"
            )
        self._requests[lanes] = queue.SimpleQueue()
        for _ in range(lanes):
            self._requests[lanes].put(model.create_infer_request())
        self.models[lanes] = model
        if {1, max(1, self._lanes)} <= self.models.keys():
            self._converted = None  # the weights are not held once more

    def _convert(self, arrays: list[np.ndarray]) -> openvino.Model:
        shapes = [[-1, *array.shape[1:]] for array in arrays]
        if self._lanes:
            shapes[0][1:3] = -1, -1
        # one item: what a trace finds to be constant, such as Swin's masks, it keeps for each
        first, *others = (array[:1] for array in arrays)
        first = first[:, :_EXAMPLE, :_EXAMPLE] if self._lanes else first
        example = tuple(torch.from_numpy(array.copy()) for array in (first, *others))
        with _quiet(), torch.inference_mode(False), torch.no_grad():
            self._module.requires_grad_(False)  # such as may become constants
            kinds = [
                (openvino.PartialShape(shape), openvino.Type(array.dtype))
                for shape, array in zip(shapes, arrays, strict=True)
            ]
            try:
                model = openvino.convert_model(self._module, example_input=example, input=kinds)
            except Exception as error:  # from tracing, or an operation that it does not know
                reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
                raise InputError(
                    f"OpenVINO cannot take this network ({reason[:200]}): use --engine torch"
                ) from error
        _pad_in_convolution(model, self._module)
        self._module = None
        return model


def _pad_in_convolution(model: openvino.Model, module: torch.nn.Module) -> None:
    """Let convolutions pad as TensorFlow does by themselves, where timm pads the maps before them.

    The padding depends on the map's size, so OpenVINO would copy each map into a larger one, which
    takes a fifth of EfficientNet-Lite0's time; the numbers are the same.
    """
    names = {
        f"__module.{name}"
        for name, layer in module.named_modules()
        if type(layer).__name__ == "Conv2dSame"
    }
    make = {"Convolution": ops.convolution, "GroupConvolution": ops.group_convolution}
    for node in model.get_ordered_ops():
        if node.get_type_name() not in make:
            continue
        pad = node.input_value(0).get_node()
        owner = pad.get_friendly_name().split("/")[0]
        if pad.get_type_name() != "Pad" or owner not in names:
            continue
        # another Pad before it would be merged into the convolution, in place of its own padding
        if pad.input_value(0).get_node().get_type_name() != "Pad":
            given = node.get_attributes()
            padded = make[node.get_type_name()](
                pad.input_value(0),
                node.input_value(1),
                given["strides"],
                [0, 0],
                [0, 0],
                given["dilations"],
                auto_pad="same_upper",
            )
            node.output(0).replace(padded.output(0))


def _array(one: np.ndarray | torch.Tensor) -> np.ndarray:
    return one.numpy() if isinstance(one, torch.Tensor) else one


@contextlib.contextmanager
def _quiet():
    """Keep tracing from warning that Python's numbers become constants: shapes are meant to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
