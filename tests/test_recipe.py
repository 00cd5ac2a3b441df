"""Presets, schedules, and settings that do not go together."""

import dataclasses

import pytest

from features.errors import UsageError
from features.pretraining.recipe import PRESETS, Recipe, chosen


def test_reiqa_has_the_published_numbers():
    recipe = PRESETS["reiqa", "quality"]
    assert (recipe.arch, recipe.crop, recipe.overlap, recipe.distorted) == (
        "resnet50",
        160,
        (0.1, 0.3),
        11,
    )
    assert (recipe.queue, recipe.dim, recipe.temperature, recipe.momentum) == (
        65536,
        128,
        0.2,
        0.999,
    )
    assert (recipe.optimiser, recipe.lr, recipe.batch, recipe.epochs) == ("lars", 12.0, 630, 40)
    assert recipe.n_pairs == 24
    assert recipe.with_steps(140_000).steps == 40 * 140_000 // 630


@pytest.mark.parametrize("name", PRESETS)
def test_presets_go_together(name):
    recipe = chosen(*name)
    assert recipe == PRESETS[name]
    assert recipe.mode == name[1]


def test_learning_rate():
    recipe = Recipe(steps=800)  # an eighth of them rises, as 5 of 40 epochs
    assert recipe.learning_rate(0) == 0.01
    assert recipe.learning_rate(50) == pytest.approx((12 + 0.01) / 2, abs=0.01)
    assert recipe.learning_rate(100) == 12.0
    assert recipe.learning_rate(450) == pytest.approx((12 + 0.012) / 2)
    assert recipe.learning_rate(800) == pytest.approx(0.012)
    rates = [recipe.learning_rate(step) for step in range(100, 801)]
    assert rates == sorted(rates, reverse=True)
    flat = dataclasses.replace(recipe, warmup=0.0, last_lr=0.0)
    assert flat.learning_rate(0) == 12.0 and flat.learning_rate(800) == pytest.approx(0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batch": 7, "group": 2}, "a batch must be a number of groups"),
        ({"batch": 512, "group": 4}, "12288 keys do not fit into --queue 4096"),
        ({"crop": 8}, "--crop 8: expected 32 to 1024"),
        ({"momentum": 2.0}, "--momentum 2.0: expected 0 to 1"),
        ({"lr": float("nan")}, "--lr nan"),
        ({"sides": (90,)}, "--sides 90: expected 96"),
        ({"distorted": 27}, "--distorted 27: expected 1 to 26"),
    ],
)
def test_errors(changes, says):
    with pytest.raises(UsageError, match=says):
        chosen("small", "quality", **changes)


def test_what_is_not_given_is_the_preset_s():
    assert chosen("small", "quality", lr=None, batch=4).lr == PRESETS["small", "quality"].lr
