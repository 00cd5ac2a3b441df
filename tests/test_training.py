"""A step of training against the equations, its groups, and going on from a state."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from features.errors import InputError  # noqa: E402
from features.pretraining.moco import contrast, info_nce  # noqa: E402
from features.pretraining.recipe import OPTIMISERS as NAMES  # noqa: E402
from features.pretraining.recipe import chosen  # noqa: E402
from features.pretraining.training import OPTIMISERS, Diverged, Trainer  # noqa: E402

TINY = {"crop": 32, "distorted": 1, "batch": 4, "group": 2, "queue": 64, "precision": "fp32"}


def tiny(**changes):
    return chosen("small", "quality", **TINY | {"steps": 10, "lr": 0.01} | changes)


def batch(recipe, seed=0, n=None):
    rng = np.random.default_rng(seed)
    side = recipe.crop
    shape = (n or recipe.batch, 2, recipe.n_pairs, side, side, 3)
    return torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8))


def test_every_optimiser_that_can_be_chosen_is_one():
    """The names, which need no torch, are those of the table."""
    assert set(OPTIMISERS) == set(NAMES)


def test_a_step_is_that_of_moco():
    """One group: the key encoder follows, then loss, gradient, update, queue."""
    recipe = tiny(group=4, momentum=0.9)
    trainer, crops = Trainer(recipe), batch(tiny())
    trainer.step(0, crops)  # so that the two encoders differ
    before = copy.deepcopy(trainer)
    step = trainer.step(1, batch(recipe, 1))

    old, new = before.key.state_dict(), before.query.state_dict()
    for name, parameter in before.key.named_parameters():
        parameter.data.copy_(0.9 * old[name] + 0.1 * new[name])
    queries, keys = (side.flatten(0, 1) for side in batch(recipe, 1).unbind(1))
    before.query.train(), before.key.train()
    others = before.key(keys).detach()
    logits = contrast(before.query(queries), others, before.queue, recipe.temperature)
    loss = info_nce(logits)
    loss.backward()
    before.optimiser.param_groups[0]["lr"] = recipe.learning_rate(1)
    before.optimiser.step()
    before.queue.put(others)
    assert step.loss == pytest.approx(loss.item(), rel=1e-5)
    assert step.accuracy == pytest.approx((logits.argmax(1) == 0).float().mean().item())
    for ours, theirs in zip(trainer.query.parameters(), before.query.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(trainer.queue.keys, before.queue.keys, rtol=1e-4, atol=1e-5)


def test_keys_of_a_group_are_drawn_anew():
    """The embeddings of keys come back in their order, but by the statistics of other groups."""
    recipe = tiny()
    trainer, crops = Trainer(recipe), batch(recipe)
    keys = crops[:, 1].flatten(0, 1)
    with torch.no_grad():
        trainer.key.train()
        first, second = (trainer._keys(keys, number) for number in (0, 1))
        alone = torch.cat([trainer.key(part) for part in keys.split(8)])
        trainer.key.eval()
        settled = [trainer._keys(keys, number) for number in (0, 1)]
    assert not torch.allclose(first, second, atol=1e-3)
    assert not torch.allclose(first, alone, atol=1e-3)
    torch.testing.assert_close(*settled, rtol=1e-4, atol=1e-5)  # without statistics, no difference


def test_going_on_from_a_state_changes_nothing():
    recipe = tiny()
    whole, first, second = Trainer(recipe), Trainer(recipe), Trainer(recipe)
    expected = [whole.step(number, batch(recipe, number)).loss for number in range(4)]
    got = [first.step(number, batch(recipe, number)).loss for number in range(2)]
    second.take(copy.deepcopy(first.state()))
    got += [second.step(number, batch(recipe, number)).loss for number in range(2, 4)]
    assert got == expected


def test_a_loss_that_is_no_number_stops():
    recipe = tiny()
    trainer = Trainer(recipe)
    with torch.no_grad():
        trainer.query.head[2].bias[0] = float("nan")
    before = copy.deepcopy(trainer.query.state_dict())
    with pytest.raises(Diverged, match="loss of step 4 is nan.*last checkpoint is whole"):
        trainer.step(3, batch(recipe))
    for name, parameter in trainer.query.named_parameters():
        torch.testing.assert_close(parameter, before[name], equal_nan=True, rtol=0, atol=0)


def test_learning_draws_pairs_together():
    """Crops whose brightness and contrast are their pair's own: no other is as near as its key."""
    recipe = tiny(steps=30, lr=0.05, momentum=0.9, batch=8, group=4, queue=256)

    def drawn(seed):
        rng = np.random.default_rng(seed)
        levels, spread = (
            rng.uniform(40, 215, (8, 1, 4, 1, 1, 1)),
            rng.uniform(1, 40, (8, 1, 4, 1, 1, 1)),
        )
        noise = rng.uniform(-1, 1, (8, 2, 4, 32, 32, 3))
        return torch.from_numpy((levels + spread * noise).astype(np.uint8))

    def gap(trainer):
        with torch.no_grad():
            sides = [trainer.query.train()(side.flatten(0, 1)) for side in drawn(99).unbind(1)]
        similar = sides[0] @ sides[1].T
        return (similar.diagonal().mean() - similar.mean()).item()

    trainer = Trainer(recipe)
    before = gap(trainer)
    for number in range(30):
        trainer.step(number, drawn(number))
    assert gap(trainer) > before + 0.2


@pytest.mark.parametrize("changes", [{"precision": "bf16"}, {"optimiser": "lars", "lr": 1.0}])
def test_other_ways(changes):
    recipe = tiny(**changes)
    step = Trainer(recipe).step(0, batch(recipe))
    assert np.isfinite(step.loss)
    assert set(step.seconds) == {"forward", "backward"}


def test_processes_that_cannot_share():
    from features.pretraining.ranks import Ranks

    with pytest.raises(InputError, match="3 processes cannot share 2 groups of 2 pictures"):
        Trainer(tiny(), ranks=Ranks(0, 3))
