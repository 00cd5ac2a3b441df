"""What computes: which engines, devices and precisions go together."""

import pytest

from features import runtime
from features.errors import InputError, UsageError
from features.runtime import ENGINES, PRECISIONS, Runtime, engines
from features.way import Way


@pytest.fixture(params=[True, False], ids=["with openvino", "without"])
def openvino(request, monkeypatch):
    """OpenVINO is installed, or is not."""
    monkeypatch.setattr(runtime, "has_openvino", lambda: request.param)
    return request.param


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16", "int8"])
@pytest.mark.parametrize("engine", ENGINES)
def test_precisions_on_the_cpu(engine, precision, openvino):
    """What is not in the table is refused with what is."""
    chosen = Runtime(engine, None, precision)
    if precision not in PRECISIONS[engine, False]:
        with pytest.raises(UsageError, match=f"--precision {precision}: {engine} on the CPU"):
            chosen.check()
    elif engine == "openvino" and not openvino:
        with pytest.raises(InputError, match=r"pip install 'meanopinion\[cpu\]'"):
            chosen.check()
    else:
        assert chosen.check() is chosen


def test_what_does_not_go_together():
    """An engine without GPUs, an unknown one, a budget that no tile fits."""
    with pytest.raises(UsageError, match="--engine openvino has no GPU"):
        Runtime("openvino", "0").check()
    with pytest.raises(UsageError, match="--engine onnx: expected auto, openvino or torch"):
        Runtime("onnx").check()
    for budget in (0.5, 12.5):
        with pytest.raises(UsageError, match=r"--budget .*: expected 1 to 12 megapixels"):
            Runtime(budget=budget).check()


def test_lanes(monkeypatch):
    """As many as there are processors, pictures in a block, and room in the budget."""
    for processors, budget, lanes in ((1, 12, 1), (2, 12, 2), (64, 12, 8), (64, 1, 1), (64, 3, 2)):
        monkeypatch.setattr("joblib.cpu_count", lambda n=processors: n)
        assert Runtime("openvino", budget=budget).lanes == lanes
        assert Runtime("torch", budget=budget).lanes == 1


def test_a_gpu_that_is_not_there():
    """It is an error, never a quiet move to the CPU."""
    torch = pytest.importorskip("torch")
    missing = str(torch.cuda.device_count())
    with pytest.raises(UsageError, match=f"--gpu {missing}: .*without --gpu the CPU works"):
        Runtime("torch", missing).check()


def test_auto(openvino):
    """On the CPU OpenVINO is first where it is; a GPU is torch's; a name is itself."""
    assert engines(on_gpu=False) == (ENGINES if openvino else ("torch",))
    assert engines(on_gpu=True) == ("torch",)
    assert Way("auto").engines()[0] == ("openvino" if openvino else "torch")
    assert Way("auto", gpus=("0",)).engines() == ("torch",)
    # an encoder may like another better, in the precision in which that was measured
    assert Way("auto").engines("torch")[0] == "torch"
    assert Way("auto", precision="bf16").engines("torch") == Way("auto").engines()
    assert Way("openvino").engines("torch") == ("openvino",)
    assert Way("torch").engines() == ("torch",)


def test_the_runtimes_of_a_way():
    """One for each device; the budget in pixels."""
    way = Way("torch", ("0", "1"), "tf32", 3.5)
    assert way.runtime("torch") == Runtime("torch", "0", "tf32", 3.5)
    assert way.runtime("torch", "1").gpu == "1"
    assert way.runtime("torch").pixels == 3_500_000
