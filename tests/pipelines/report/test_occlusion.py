"""Occlusion saliency: weights of hidden parts, and their view on a page."""

import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import canonical, media
from tests.conftest import SPEC
from triad_ml.model.serving import bundle
from triad_ml.model.serving.export import SERVING
from triad_ml.model.serving.scorer import Scorer
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.report import occlusion, occlusion_view
from triad_ml.pipelines.report import page as report_page
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.transforms.media import audio
from triad_ml.transforms.spec import loading

DATE = "2026-11-24"
WHITE, RED = (255, 255, 255), (255, 0, 0)


@pytest.fixture(scope="module")
def model(trained: Path) -> bundle.Artefact:
    return bundle.load(trained)


def picture(size: tuple[int, int], spot: tuple[int, int, int, int]) -> bytes:
    """White with a red spot."""
    made = Image.new("RGB", size, WHITE)
    made.paste(RED, spot)
    content = io.BytesIO()
    made.save(content, "PNG")
    return content.getvalue()


def planted(**given: tf.Tensor) -> dict[str, tf.Tensor]:
    """A model of which it is known what it rests on.

    Its first class has 0.5, 0.2 more for the word `loud`, 0.1 less for `quiet`, 0.25 more for a
    red spot in the picture, and 0.05 more where the end of the sound is not silent.
    """
    shares = []
    for text, image, sound in zip(
        *(given[name].numpy() for name in ("text", "image", "audio")), strict=True
    ):
        share = 0.5 + 0.2 * (b"loud" in text) - 0.1 * (b"quiet" in text)
        if image:
            pixels = np.asarray(Image.open(io.BytesIO(image)))
            share += 0.25 * bool((pixels == RED).all(axis=2).any())
        if sound:
            share += 0.05 * bool(audio.samples(sound)[-100:].any())
        shares.append([share, 1 - share, 0, 0])
    return {"category/distribution": tf.constant(shares, tf.float32)}


@pytest.fixture
def scorer(tmp_path: Path) -> Scorer:
    spec = loading.parse(SPEC)
    classes = {"category": ["first", "second", "third", "fourth"]}
    about = {
        "spec": json.loads(spec.to_json()),
        "classes": classes,
        "batch_size": 48,
        "digests": {"model": "m", "transform": "t"},
    }
    return Scorer(bundle.Artefact(tmp_path, about), signatures={SERVING: planted})


WHOLE = canonical.record(
    image=picture((60, 30), (42, 12, 48, 18)), audio=media.wav(seed=1), text=b"a loud, quiet fan"
)


class TestOcclusion:
    def test_each_part_weighs_what_its_hiding_takes(self, scorer: Scorer) -> None:
        found = occlusion.explain(scorer, WHOLE, "category", 0, "first")
        assert found.label == "first"
        assert found.probability == pytest.approx(0.9)
        text = WHOLE.text.decode()
        assert [text[word.start : word.end] for word in found.words] == [
            *("a", "loud,", "quiet", "fan")
        ]
        np.testing.assert_allclose([w.weight for w in found.words], [0, 0.2, -0.1, 0], atol=1e-6)
        assert found.sound is not None
        np.testing.assert_allclose(found.sound[:-1], 0, atol=1e-6)
        assert found.sound[-1] == pytest.approx(0.05, abs=1e-6)
        assert found.picture is not None
        # Cells are 10 pixels wide: the spot lies in the fifth column of the second row.
        expected = np.zeros((3, 6))
        expected[1, 4] = 0.25
        np.testing.assert_allclose(found.picture, expected, atol=1e-6)

    def test_what_is_missing_has_no_parts(self, scorer: Scorer) -> None:
        found = occlusion.explain(scorer, canonical.record(text=b"loud"), "category", 1, "second")
        assert found.probability == pytest.approx(0.3)
        assert found.picture is None
        assert found.sound is None
        assert [word.weight for word in found.words] == pytest.approx([-0.2])

    def test_the_served_model_is_asked_and_nothing_else(self, model: bundle.Artefact) -> None:
        own = Scorer(model)
        found = occlusion.explain(own, WHOLE, "category", 2, "third")
        served = own.outputs([WHOLE, dataclasses.replace(WHOLE, text=b"a loud,   fan")])[
            "category/distribution"
        ][:, 2]
        assert found.probability == float(served[0])
        assert found.words[2].weight == float(served[0] - served[1])

    def test_characters_of_languages_without_spaces_are_words(self, scorer: Scorer) -> None:
        record = canonical.record(text="風扇 ok".encode())
        found = occlusion.explain(scorer, record, "category", 0, "first")
        assert [(word.start, word.end) for word in found.words] == [(0, 1), (1, 2), (3, 5)]

    def test_only_so_many_words_are_hidden(self, scorer: Scorer) -> None:
        record = canonical.record(text=b"word " * 200)
        found = occlusion.explain(scorer, record, "category", 0, "first")
        assert len(found.words) == occlusion.MOST_WORDS

    @pytest.mark.parametrize(
        ("size", "expected"),
        [((600, 600), (6, 6)), ((600, 300), (3, 6)), ((2000, 10), (1, 6)), ((2, 3), (3, 2))],
    )
    def test_cells_are_about_square(self, size: tuple[int, int], expected: tuple[int, int]) -> None:
        assert occlusion.grid(*size) == expected


class TestView:
    def test_it_says_in_words_what_it_shows(self, scorer: Scorer) -> None:
        found = occlusion.explain(scorer, WHOLE, "category", 0, "first")
        shown = occlusion_view.view(found, WHOLE)
        assert shown.words_said == "Words, points of probability: “loud,” +20.0; “quiet” -10.0."
        assert shown.sound_said == "Audio, points of probability: window 12 of 12 +5.0."
        assert shown.picture_said == (
            "Image, points of probability: row 2 of 3, column 5 of 6 +25.0."
        )
        assert "".join(part.name for part in shown.words) == "a loud, quiet fan"
        strong = [(part.name, part.strength, part.speaks_for) for part in shown.words]
        assert ("loud,", 80.0, True) in strong
        assert ("quiet", 40.0, False) in strong
        assert [part.strength for part in shown.sound] == [0] * 11 + [20.0]

    def test_the_heat_lies_where_the_weight_is(self, scorer: Scorer) -> None:
        import base64

        found = occlusion.explain(scorer, WHOLE, "category", 0, "first")
        shown = occlusion_view.view(found, WHOLE)
        content = base64.b64decode(shown.picture.removeprefix("data:image/jpeg;base64,"))
        pixels = np.asarray(Image.open(io.BytesIO(content))).astype(int)
        redder = pixels[..., 0] - pixels[..., 2]
        assert redder[11:19, 41:49].min() > 60
        assert abs(redder[:, :36]).max() < 20

    def test_where_nothing_matters_it_says_so(self, scorer: Scorer) -> None:
        record = canonical.record(text=b"a fan")
        found = occlusion.explain(scorer, record, "category", 0, "first")
        shown = occlusion_view.view(found, record)
        assert shown.words_said == "Words: no part alone changes the probability by half a point."
        assert [part.strength for part in shown.words] == [0, 0, 0]
        assert (shown.picture, shown.sound) == ("", ())


@pytest.fixture(scope="module")
def scores(trained: Path, generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("saliency") / "scores"
    scoring_run.run(ScoreConfig(str(trained), (str(generated),), str(output), DATE))
    return output


def page(trained: Path, generated: Path, scores: Path, output: Path, **more: Any) -> str:
    report_page.write(str(trained), str(scores), None, [str(generated)], output, **more)
    return output.read_text(encoding="utf-8")


class TestPage:
    def test_so_many_cards_say_what_they_rest_on(
        self, trained: Path, generated: Path, scores: Path, tmp_path: Path
    ) -> None:
        text = page(trained, generated, scores, tmp_path / "page.html", saliency=3)
        assert text.count('<details class="why-so"') == 3
        pictures = re.findall(
            r'<img class="heat" src="data:image/jpeg;base64,[^"]+" alt="(.+?)"', text
        )
        assert 1 <= len(pictures) <= 3
        assert all(one.startswith("Image") for one in pictures)
        assert 'role="img" aria-label="Audio' in text
        assert "<script" not in text

    def test_without_being_asked_none_does(
        self, trained: Path, generated: Path, scores: Path, tmp_path: Path
    ) -> None:
        assert '<details class="why-so"' not in page(
            trained, generated, scores, tmp_path / "page.html"
        )

    @pytest.mark.parametrize("more", [["--scores", "s"], ["--input", "i"]])
    def test_it_needs_a_gallery(self, more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        argv = ["report", "--model", "m", "--output", "o", "--saliency", "2", *more]
        assert main.main(argv) == 12
        assert capsys.readouterr().err.splitlines()[-1] == (
            "triad: --saliency: is about the gallery; give --scores and --input too"
        )
