"""A tiny encoder with weight files, in the way of the real ones, for tests of those files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from features.encoders import ENCODERS
from features.encoders.base import FLAG, Encoder, Option
from features.errors import InputError, UsageError
from features.runtime import Runtime
from features.weights import WeightFile, fill, load_state

FILENAME = "tiny.pth"


def tensors(seed: int = 0, width: int = 4) -> dict:
    """The tensors of the published file: body, head, and a counter."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "body.weight": (width, 3),
        "body.bias": (width,),
        "head.weight": (2, width),
        "head.bias": (2,),
    }
    state = {f"module.{k}": torch.randn(v, generator=generator) for k, v in shapes.items()}
    return state | {"module.body.steps": torch.tensor(seed + 7)}


def write(path: Path, seed: int = 0, container: str = "model", **beside: object) -> Path:
    """Write a file in the published layout, with what a training leaves beside the tensors."""
    import torch

    state = tensors(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({container: state, "epoch": 3, **beside} if container else state, path)
    return path


def _build(containers: tuple[str, ...]):
    def build(options: Mapping[str, str], files: Mapping[str, Path], runtime: Runtime):
        import torch

        if options["head"] == "yes" and options["extra"] == "yes":
            raise UsageError("tiny[extra,head]: these do not go together")
        path = files["network"]
        state = load_state(path)
        for name in containers:
            state = state.get(name, state)
        plain = {str(key).removeprefix("module."): value for key, value in state.items()}
        layers = {"body": torch.nn.Linear(3, 4), "head": torch.nn.Linear(4, 2)}
        layers["body"].register_buffer("steps", torch.tensor(0))
        if not any(key.startswith("body.") for key in plain):
            raise InputError(
                f"{path} is not a tiny file: expected body.*, found {len(plain)} others"
            )
        if "extra" in files:
            layers["extra"] = torch.nn.Linear(4, 4, bias=False)
            fill(layers["extra"], load_state(files["extra"]), files["extra"])
        used = ["body", *(name for name in ("extra", "head") if options[name] == "yes")]
        for name in set(used) - {"extra"}:
            part = f"{name}."
            own = {k.removeprefix(part): v for k, v in plain.items() if k.startswith(part)}
            fill(layers[name], own, path)
            layers[name].to(runtime.device)

        def encode(batch) -> np.ndarray:
            with torch.no_grad():
                x = torch.from_numpy(batch.pictures.mean(axis=(1, 2))).float() / 255
                for name in used:
                    x = layers[name](x)
                return (x * layers["body"].steps).numpy()

        return encode

    return build


def tiny(name: str = "tiny", containers: tuple[str, ...] = ("model",), **changes) -> Encoder:
    """The encoder; `extra` asks for a second file. Changes are for the first file."""
    facts = {"url": "", "sha256": "", "size": 0, "folders": ("", "sub")} | changes
    return Encoder(
        name=name,
        summary="a linear layer on the mean colour",
        paper="https://example.org/paper",
        licence="CC0",
        version=1,
        views={"picture": "mean colour"},
        n_dims=lambda options: 2 if options["head"] == "yes" else 4,
        build=_build(containers),
        min_side=lambda options: 1,
        weights=(
            WeightFile(FILENAME, "https://example.org/tiny", also=("tiny-v1.pth",), **facts),
            WeightFile("extra.pth", "https://example.org/e", role="extra", when=("extra", "yes")),
        ),
        options={"head": Option("no", FLAG), "extra": Option("no", FLAG)},
        seen=("KonIQ-10k",),
    )


def plain(name: str, encode, n_dims: int = 3) -> Encoder:
    """An encoder without weights that does what a test needs: (n, h, w, 3) -> (n, n_dims)."""
    return Encoder(
        name=name,
        summary="",
        paper="",
        licence="",
        version=1,
        views={},
        n_dims=lambda options: n_dims,
        build=lambda options, files, runtime: lambda batch: encode(batch.pictures),
        min_side=lambda options: 1,
    )


def register(monkeypatch, encoder: Encoder | None = None) -> Encoder:
    """Put the encoder into the table, alone, as long as a test lasts."""
    encoder = encoder or tiny()
    for name in list(ENCODERS):
        monkeypatch.delitem(ENCODERS, name)
    monkeypatch.setitem(ENCODERS, encoder.name, encoder)
    return encoder
