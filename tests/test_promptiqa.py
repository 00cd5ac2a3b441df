"""PromptIQA against the published code's numbers, OpenCV's pixels, and itself."""

import numpy as np
import pytest
from conftest import picture
from known import GOLDEN, reference_picture, same

from features.encoders.promptiqa import PROMPTIQA, FewShot, checked_scores, opencv_bicubic
from features.errors import InputError, UsageError
from features.names import parse
from features.runtime import Runtime

PROMPT = ("astronaut_455x301", "coffee_600x400", "coffee_208x160")
QUERY = "hubble_1000x872"
# what OpenCV 4.8 and 5.0 made of (9, 7, 3) pixels, resized to 4x4
OPENCV = [
    *(37, 91, 128, 218, 8, 47, 190, 230, 19, 109, 146, 200),
    *(57, 112, 149, 255, 28, 68, 211, 255, 40, 130, 166, 233),
    *(96, 133, 170, 13, 52, 89, 234, 24, 61, 151, 205, 78),
    *(117, 154, 151, 34, 73, 117, 166, 45, 82, 178, 167, 99),
]


@pytest.fixture(scope="module")
def golden():
    """What the published code returned, run once on a CPU."""
    return np.load(GOLDEN / "promptiqa.npz")


def test_opencv_s_pixels():
    """Enlarging one axis and shrinking the other, with values on both sides of the range."""
    pixels = (np.arange(9 * 7 * 3).reshape(9, 7, 3) * 37 % 256).astype(np.uint8)
    np.testing.assert_array_equal(opencv_bicubic(pixels, 4), np.reshape(OPENCV, (4, 4, 3)))


def test_the_published_input(golden):
    """Mean and spread of the query as the published code saw it, to a pixel in 150,000."""
    view = opencv_bicubic(reference_picture(QUERY), 224) / 255 * 2 - 1
    assert abs(view.mean() - golden["input_mean"]) < 1e-6
    assert abs(view.std(ddof=1) - golden["input_std"]) < 1e-6


@pytest.mark.parametrize("shape", [(301, 455), (7, 300), (33, 1000), (224, 224), (448, 448)])
def test_side_by_side_with_opencv(shape):
    """Where it is installed: the same pixels, but for roundings of its float arithmetic."""
    cv2 = pytest.importorskip("cv2")
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    theirs = cv2.resize(pixels, (224, 224), interpolation=cv2.INTER_CUBIC).astype(int)
    assert np.abs(theirs - opencv_bicubic(pixels, 224)).max() <= 1


def test_resizing_keeps_what_it_can():
    """The same size is the same picture; one colour stays that colour, from any size."""
    one = picture(3, 224, 224)
    np.testing.assert_array_equal(opencv_bicubic(one, 224), one)
    for shape in ((1, 1), (7, 300), (1000, 2)):
        plain = np.full((*shape, 3), (0, 131, 255), np.uint8)
        assert (opencv_bicubic(plain, 224) == (0, 131, 255)).all()


@pytest.mark.parametrize(
    ("n_pictures", "scores", "message"),
    [
        (2, [0.1, 0.2], "3 to 10 pictures with a score each: 2 pictures and 2 scores"),
        (11, [0.5] * 11, "3 to 10 pictures .* 11 pictures and 11 scores"),
        (4, [0.1, 0.2, 0.3], "4 pictures and 3 scores"),
        (3, [0.1, 0.2, 73], "from 0 to 1.*: 0.1 to 73 were given"),
        (3, [-0.5, 0.2, 1], "from 0 to 1.*: -0.5 to 1 were given"),
        (3, [np.nan, 0.2, 1], "from 0 to 1"),
    ],
)
def test_wrong_prompts(n_pictures, scores, message):
    """What the network was not made for is refused, and said in one line."""
    with pytest.raises(UsageError, match=message):
        checked_scores(n_pictures, scores)


def test_right_prompts():
    """Both ends of the number of pairs, and of the scale."""
    assert checked_scores(3, [0, 1, 0.5]).dtype == np.float32
    assert checked_scores(10, np.linspace(0, 1, 10)).shape == (10,)


def test_a_file_of_another_network(tmp_path):
    """One line names the file and the official page."""
    torch = pytest.importorskip("torch")
    path = tmp_path / "best_model.pth.tar"
    torch.save({"state_dict": {"module.conv1.weight": torch.zeros(3)}}, path)
    with pytest.raises(InputError, match=r"best_model.pth.tar is not PromptIQA's.*Zevin2023"):
        PROMPTIQA.build({}, {"network": path}, Runtime())
    torch.save({"state_dict": {"module.fusion_mal.x": torch.zeros(3)}}, path)
    with pytest.raises(InputError, match=r"of 505 tensors, 505 missing .*, 1 extra"):
        PROMPTIQA.build({}, {"network": path}, Runtime())


@pytest.fixture(scope="module")
def few_shot(known_weights):
    """The network with known weights, from a file in the published layout."""
    pytest.importorskip("torch")
    (file,) = PROMPTIQA.files({})
    return FewShot({"network": file.locate(known_weights("promptiqa"))})


@pytest.fixture(scope="module")
def vectors(few_shot):
    """The embeddings of the reference pictures: those of the prompt, then the query's."""
    pictures = [reference_picture(name) for name in (*PROMPT, QUERY)]
    return np.concatenate([few_shot.embed(one[None]) for one in pictures])


@pytest.mark.slow
def test_the_published_numbers(few_shot, vectors, golden):
    """The prompt of three pictures, and the scores that two prompts give to a fourth."""
    prompts = few_shot.prompts_of(vectors[:3], golden["isp_scores"])
    assert same(prompts, golden["prompt_features"][0])
    assert same(few_shot.score_of(prompts, vectors[3:]), golden["score"], 1e-5)
    other = few_shot.prompts_of(vectors[:3], golden["isp_scores_alt"])
    assert same(few_shot.score_of(other, vectors[3:]), golden["score_alt"], 1e-5)
    # the two scores differ by more than the tolerance, so that neither passes for the other
    assert not same(golden["score"], golden["score_alt"], 1e-4)


@pytest.mark.slow
def test_a_score_is_its_picture_s_alone(few_shot, vectors):
    """The same bits alone, in company and in any order; pairs have no order either."""
    prompts = few_shot.prompts_of(vectors[:3], [0.2, 0.9, 0.55])
    scores = few_shot.score_of(prompts, vectors)
    assert scores.shape == (4,) and scores.dtype == np.float32
    alone = [few_shot.score_of(prompts, vectors[row : row + 1])[0] for row in range(4)]
    np.testing.assert_array_equal(scores, alone)
    np.testing.assert_array_equal(few_shot.score_of(prompts, vectors[::-1]), scores[::-1])
    turned = few_shot.prompts_of(vectors[2::-1], [0.55, 0.9, 0.2])
    np.testing.assert_allclose(few_shot.score_of(turned, vectors), scores, rtol=1e-5)


@pytest.mark.slow
def test_pictures_and_embeddings_are_one_way(few_shot, vectors, golden, monkeypatch):
    """The record takes pictures; their embeddings give the same bits, whatever came with them."""
    monkeypatch.setattr("features.encoders.promptiqa.FewShot", lambda files, device: few_shot)
    learn = PROMPTIQA.few_shot({}, {}, Runtime())
    shown = [reference_picture(name) for name in PROMPT]
    query = reference_picture(QUERY)
    scores = learn(shown, golden["isp_scores"])(np.stack([query[::-1], query]))
    assert scores.shape == (2,) and scores[0] != scores[1]
    assert same(scores[1:], golden["score"], 1e-5)
    prompts = few_shot.prompts_of(vectors[:3], golden["isp_scores"])
    np.testing.assert_array_equal(few_shot.score_of(prompts, vectors[3:]), scores[1:])
    assert vectors.shape == (4, PROMPTIQA.n_dims({})) and vectors.dtype == np.float32
    with pytest.raises(UsageError, match="3 to 10"):
        learn(shown[:2], [1, 0.5])


def test_the_table_has_it():
    """It is asked for by its name, and has no options."""
    (request,) = parse("promptiqa")
    assert request.encoder is PROMPTIQA
    with pytest.raises(UsageError, match="promptiqa takes no options"):
        parse("promptiqa[pool=levels]")
