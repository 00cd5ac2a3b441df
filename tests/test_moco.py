"""Momentum contrast against the published code's numbers and against PyTorch's own."""

import numpy as np
import pytest
from known import GOLDEN

torch = pytest.importorskip("torch")

from features.pretraining.moco import Queue, contrast, follow, info_nce  # noqa: E402


@pytest.fixture(scope="module")
def golden():
    """Two steps of the published code, the second with query and key side exchanged."""
    stored = np.load(GOLDEN / "moco.npz")
    return {name: torch.from_numpy(np.asarray(stored[name])) for name in stored}


def close(ours, expected):
    """Equal to 1e-5 of the largest."""
    return (ours - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.fixture
def queue(golden):
    """The queue before the first step."""
    queue = Queue(*golden["queue0"].shape)
    queue.keys.copy_(golden["queue0"])
    return queue


def test_two_published_steps(golden, queue):
    """Logits, loss and queue; in the second step the sides have changed places."""
    q, k, temperature = golden["q"], golden["k"], golden["temperature"].item()
    logits = contrast(q, k, queue, temperature)
    assert close(logits, golden["logits"])
    assert close(info_nce(logits), golden["loss"])
    queue.put(k)
    assert close(queue.keys, golden["queue1"]) and queue.position == 6
    assert close(contrast(k, q, queue, temperature), golden["logits2"])
    queue.put(q)
    assert close(queue.keys, golden["queue2"]) and queue.position == 12


def test_the_oldest_make_way():
    """Round the end, whatever the batch; a state dict goes on where it was."""
    queue = Queue(5, 2)
    rows = torch.arange(24.0).reshape(12, 2)
    for start in range(0, 12, 3):
        queue.put(rows[start : start + 3])
    # 12 keys through 5 places: the last five, of which 10 and 11 lie round the end
    assert torch.equal(queue.keys, rows[[10, 11, 7, 8, 9]]) and queue.position == 2
    other = Queue(5, 2)
    other.load_state_dict(queue.state_dict())
    for each in (queue, other):
        each.put(rows[:1])
    assert torch.equal(queue.keys, other.keys) and other.position == 3
    with pytest.raises(ValueError, match="6 keys do not fit into a queue of 5"):
        queue.put(rows[:6])


def test_it_begins_with_unit_vectors():
    """Drawn from the generator alone."""
    first, second, other = (
        Queue(64, 8, torch.Generator().manual_seed(seed)).keys for seed in (1, 1, 2)
    )
    assert torch.equal(first, second) and not torch.equal(first, other)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(64))


def test_gradients_reach_the_queries_alone(queue, golden):
    """The queue may move on before the backward pass; nothing flows into keys that were put."""
    q, k = (golden[name].clone().requires_grad_() for name in "qk")
    loss = info_nce(contrast(q, k.detach(), queue))
    queue.put(k)
    loss.backward()
    assert k.grad is None and not queue.keys.requires_grad
    expected = golden["q"].clone().requires_grad_()
    logits = torch.cat([(expected * k).sum(1, keepdim=True), expected @ golden["queue0"].T], 1)
    torch.nn.functional.cross_entropy(logits / 0.2, torch.zeros(6, dtype=torch.long)).backward()
    torch.testing.assert_close(q.grad, expected.grad)


def test_the_slow_one_follows():
    """As an exponential moving average with the stated momentum."""
    slow, fast = ([torch.full((2, 3), value), torch.full((4,), value)] for value in (1.0, 2.0))
    for _ in range(10):
        follow(slow, fast, 0.9)
    for one in slow:
        torch.testing.assert_close(one, torch.full_like(one, 2 - 0.9**10))
