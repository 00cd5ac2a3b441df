"""Our vision transformer against timm's, with the same small random weights."""

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from features.encoders.vit import VisionTransformer  # noqa: E402 - only where torch is


@pytest.fixture(scope="module")
def theirs():
    """timm's, as small as it goes; every number of it is random."""
    torch.manual_seed(0)
    network = timm.models.vision_transformer.VisionTransformer(
        img_size=24, patch_size=8, embed_dim=32, depth=3, num_heads=4, num_classes=0
    )
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


@pytest.mark.parametrize("normed", [True, False])
def test_timm_s_keys_and_numbers(theirs, normed):
    """The state dict fits as it is, and the tokens after every block are the same."""
    ours = VisionTransformer(24, 8, 32, 3, 4, normed=normed)
    if not normed:
        theirs.norm, norm = torch.nn.Identity(), theirs.norm
    ours.load_state_dict(theirs.state_dict())
    pictures = torch.randn(2, 3, 24, 24)
    with torch.inference_mode():
        first, last = ours(pictures, after=(1, 3))
        torch.testing.assert_close(last, theirs.forward_features(pictures), rtol=1e-4, atol=1e-5)
        tokens = theirs.forward_intermediates(
            pictures,
            indices=[0],
            norm=True,
            output_fmt="NLC",
            return_prefix_tokens=True,
            intermediates_only=True,
        )[0]
    torch.testing.assert_close(first[:, 1:], tokens[0], rtol=1e-4, atol=1e-5)
    if not normed:
        theirs.norm = norm
