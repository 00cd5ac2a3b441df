"""Heads on embeddings, tuned honestly. Arrays in, arrays out.

To add a regressor: a file beside this one with a tuner (see `RidgeTuner`), a line in `table`, and,
where it predicts in a new way, a line in `heads.HEADS`.
"""
