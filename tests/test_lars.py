"""LARS against three steps of the published optimiser, and against plain momentum."""

import numpy as np
import pytest
from known import GOLDEN

torch = pytest.importorskip("torch")

from features.pretraining.lars import LARS  # noqa: E402


@pytest.fixture(scope="module")
def golden():
    """A weight, a bias, three gradients of each, and where they end."""
    stored = np.load(GOLDEN / "moco.npz")
    return {name: stored[name] for name in stored if name.startswith("lars_")}


def steps(golden, make, n=3, parameters=None):
    """The weight and the bias after some steps of an optimiser."""
    start = parameters or [golden["lars_w0"], golden["lars_b0"]]
    both = [torch.nn.Parameter(torch.from_numpy(np.array(one))) for one in start]
    optimizer = make(both)
    for number in range(n):
        for parameter, name in zip(both, "wb", strict=True):
            parameter.grad = torch.from_numpy(golden[f"lars_g{name}"][number])
        optimizer.step()
    return [parameter.detach().numpy() for parameter in both], optimizer


def of(golden, **changes):
    """Makes the optimiser with the published settings."""
    names = ("lr", "weight_decay", "momentum", "trust")
    settings = {name: float(golden[f"lars_{name}"]) for name in names} | changes
    return lambda parameters: LARS(parameters, **settings)


def test_three_published_steps(golden):
    """Weight and bias, to 1e-5 of the largest."""
    ours, _ = steps(golden, of(golden))
    for one, name in zip(ours, ("lars_w3", "lars_b3"), strict=True):
        assert np.abs(one - golden[name]).max() <= 1e-5 * np.abs(golden[name]).max()


def test_biases_are_plain_momentum(golden):
    """Neither scaled nor decayed: the bias goes where PyTorch's SGD takes it."""
    (_, ours), _ = steps(golden, of(golden))
    sgd = lambda both: torch.optim.SGD(both, lr=float(golden["lars_lr"]), momentum=0.9)  # noqa: E731
    (_, theirs), _ = steps(golden, sgd)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_step_is_a_share_of_the_weight(golden):
    """The first step moves a weight by lr * trust of its length, however long the gradient is."""
    (weight, _), _ = steps(golden, of(golden, lr=2.0, trust=0.01), n=1)
    moved = np.linalg.norm(weight - golden["lars_w0"])
    assert moved == pytest.approx(0.02 * np.linalg.norm(golden["lars_w0"]), rel=1e-5)


def test_zeros_stay_finite(golden):
    """A weight of zeros takes the plain step; a gradient of zeros none."""
    start = [np.zeros((5, 7), np.float32), np.zeros(5, np.float32)]
    (weight, _), _ = steps(golden, of(golden, momentum=0.0), n=1, parameters=start)
    np.testing.assert_allclose(weight, -0.6 * golden["lars_gw"][0], rtol=1e-6)
    still = dict(golden, lars_gw=np.zeros_like(golden["lars_gw"]))
    (weight, _), _ = steps(still, of(golden, weight_decay=0.0))
    np.testing.assert_array_equal(weight, golden["lars_w0"])


def test_it_goes_on_from_its_state(golden):
    """Two steps, a state dict, and a third: the three of one that was not stopped."""
    whole, _ = steps(golden, of(golden))
    two, before = steps(golden, of(golden), n=2)
    both = [torch.nn.Parameter(torch.from_numpy(one)) for one in two]
    after = of(golden)(both)
    after.load_state_dict(before.state_dict())
    for parameter, name in zip(both, "wb", strict=True):
        parameter.grad = torch.from_numpy(golden[f"lars_g{name}"][2])
    after.step()
    for ours, expected in zip(both, whole, strict=True):
        np.testing.assert_array_equal(ours.detach().numpy(), expected)


@pytest.mark.parametrize("wrong", [{"lr": -1}, {"momentum": 1.0}, {"trust": 0}])
def test_settings_out_of_range(wrong):
    """They are refused before any step."""
    with pytest.raises(ValueError, match="expected lr and weight_decay from 0"):
        LARS([torch.nn.Parameter(torch.zeros(2, 2))], **({"lr": 0.1} | wrong))
