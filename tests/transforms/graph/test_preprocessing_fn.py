"""Features of the feature graph, compared with plain computations of them."""

import math
import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import media
from triad_ml.transforms.features import audio as features_audio
from triad_ml.transforms.features import image
from triad_ml.transforms.features import text as features_text
from triad_ml.transforms.features.analyzers import Analysis, KnownAnalyzers
from triad_ml.transforms.features.ids import PAD, UNKNOWN
from triad_ml.transforms.features.words import words_graph
from triad_ml.transforms.graph import preprocessing_fn, raw_examples
from triad_ml.transforms.media import audio as media_audio
from triad_ml.transforms.records.values import CanonicalRecord, Position
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.modalities import ImageSpec, TextSpec

SPEC = loading.parse(
    """
modalities:
  image: {size: 16}
  audio: {sample_rate: 8000, seconds: 0.2, mel_bins: 8}
  text: {tokens: word, vocabulary: 100, length: 5}
tasks:
  kind: {kind: classification, label: what}
  marks: {kind: classification, label: signs, multi_label: true}
"""
)
SOUND = SPEC.modalities.audio
VOCABULARIES = {
    "text_vocabulary": ("the", "été", "日", "i\u0307"),
    "label_kind_vocabulary": ("cat", "dog"),
    "label_marks_vocabulary": ("x", "y", "z"),
}
MOMENTS = (tuple(np.arange(8) / 4 - 1.0), tuple(np.arange(8) / 8 + 0.5))
KNOWN = KnownAnalyzers(Analysis(VOCABULARIES, {"audio": MOMENTS}))
STRINGS = [tf.TensorSpec([None], tf.string)]
Refused = tf.errors.InvalidArgumentError


# Pictures


def image_function(size=16, fit="pad"):
    what = ImageSpec(size=size, fit=fit)
    return tf.function(lambda content: image.image_graph(content, what), STRINGS)


@pytest.fixture(scope="module")
def padded():
    return image_function()


@pytest.fixture(scope="module")
def stretched():
    return image_function(fit="stretch")


def pixels(graph, *pictures, size=16):
    """uint8 `[pictures, size, size, 3]`."""
    made = graph(list(pictures)).numpy()
    assert [len(one) for one in made] == [size * size * 3] * len(pictures)
    return np.stack([np.frombuffer(one, np.uint8).reshape(size, size, 3) for one in made])


def png(values) -> bytes:
    """A PNG of uint8 `[height, width, 3]` or `[height, width]`."""
    return media.encoded(media.Image.fromarray(np.asarray(values, np.uint8)), "PNG")


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def shares(before: int, after: int) -> np.ndarray:
    """How much of each old pixel is in each new one, `[after, before]`, where a line shrinks."""
    edges = np.arange(after + 1) * before / after
    old = np.arange(before)
    overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    return np.maximum(overlap, 0) * after / before


def slopes(before: int, after: int) -> np.ndarray:
    """Weights of linear interpolation between the centres of pixels, `[after, before]`."""
    centres = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    return np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(before)))


def resized(values, height, width, weights=shares):
    rows, columns = weights(values.shape[0], height), weights(values.shape[1], width)
    exact = np.einsum("hy,yxc,wx->hwc", rows, values.astype(np.float64), columns)
    return np.rint(exact).astype(np.uint8)


def on_white(values, size=16):
    height, width, _ = values.shape
    canvas = np.full((size, size, 3), 255, np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    canvas[top : top + height, left : left + width] = values
    return canvas


def test_a_png_of_the_size_keeps_its_pixels(padded, stretched):
    values = noise(16, 16)
    for graph in (padded, stretched):
        np.testing.assert_array_equal(pixels(graph, png(values)), values[None])


def test_gray_and_palette_pictures_become_rgb(padded):
    gray = noise(16, 16)[..., 0]
    (from_gray,) = pixels(padded, png(gray))
    np.testing.assert_array_equal(from_gray, np.repeat(gray[..., None], 3, axis=2))
    content = media.png("P", 16, 16)
    np.testing.assert_array_equal(pixels(padded, content)[0], media.decoded(content))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_is_decoded_as_pillow_decodes_it_but_for_the_faster_transform(padded, mode):
    content = media.jpeg(16, 16, mode=mode, subsampling=0)
    difference = pixels(padded, content)[0].astype(int) - media.decoded(content)
    assert np.abs(difference).max() <= 3
    assert np.abs(difference).mean() < 1.5


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_a_picture_shrinks_to_the_means_of_blocks(padded, factor):
    values = noise(16 * factor, 16 * factor)
    blocks = values.reshape(16, factor, 16, factor, 3).astype(np.float64).mean(axis=(1, 3))
    expected = np.rint(blocks).astype(np.uint8)
    np.testing.assert_array_equal(pixels(padded, png(values))[0], expected)


def test_a_pixel_that_lies_in_two_blocks_counts_by_its_parts(padded):
    values = noise(40, 40)
    np.testing.assert_array_equal(pixels(padded, png(values))[0], resized(values, 16, 16))


def test_a_small_picture_is_enlarged_between_the_centres_of_its_pixels(padded):
    values = noise(8, 8)
    expected = resized(values, 16, 16, weights=slopes)
    np.testing.assert_array_equal(pixels(padded, png(values))[0], expected)


@pytest.mark.parametrize(
    ("height", "width", "fitted"),
    [
        (20, 40, (8, 16)),
        (40, 20, (16, 8)),
        (14, 32, (7, 16)),  # nine lines are white: four above, five below
        (64, 16, (16, 4)),
        (3, 176, (1, 16)),  # 0.3 lines: one stays
    ],
)
def test_a_shape_is_kept_on_white(padded, height, width, fitted):
    values = noise(height, width)
    expected = on_white(resized(values, *fitted))
    np.testing.assert_array_equal(pixels(padded, png(values))[0], expected)


def test_a_small_shape_is_kept_on_white_too(padded):
    values = noise(4, 8)
    expected = on_white(resized(values, 8, 16, weights=slopes))
    np.testing.assert_array_equal(pixels(padded, png(values))[0], expected)


@pytest.mark.parametrize(("height", "width"), [(20, 40), (40, 16), (64, 32)])
def test_a_stretched_picture_fills_the_square(stretched, height, width):
    values = noise(height, width)
    np.testing.assert_array_equal(pixels(stretched, png(values))[0], resized(values, 16, 16))


def test_a_missing_picture_is_zeros_and_neighbours_change_nothing(padded):
    pictures = [b"", png(noise(16, 16)), b"", media.jpeg(50, 20), png(noise(9, 31, seed=1))]
    together = pixels(padded, *pictures)
    assert not together[[0, 2]].any()
    alone = np.concatenate([pixels(padded, one) for one in pictures])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize(
    "broken",
    [
        media.jpeg()[:-2],
        media.jpeg()[:-200] + b"\xff\xd9",
        media.jpeg(progressive=True)[:-100],
        media.png()[:-60],
        media.png()[:40],
        media.encoded(media.picture(), "TIFF"),
        b"no picture",
        b"\0",
    ],
)
def test_a_picture_that_is_not_whole_fails_its_batch(padded, broken):
    with pytest.raises(Refused):
        padded([png(noise(16, 16)), broken])


# Sounds


@pytest.fixture(scope="module")
def heard():
    return tf.function(lambda content: features_audio.audio_graph(content, SOUND, KNOWN), STRINGS)


def signal(samples, seed=0):
    """int16 `[samples]`: noise, so that every band is far from silence."""
    return np.random.default_rng(seed).integers(-8000, 8000, samples).astype("<i2")


def wav(values, rate=8000):
    return media_audio.header(rate, len(values)) + values.tobytes()


def plain_log_mel(values, frames):
    """Log-mel of the first frames, float64 `[frames, 8]`, by numpy alone."""
    length, step, padded_length = 200, 80, 256
    padded = np.zeros(1600)
    padded[: min(len(values), 1600)] = values[:1600] / 2**15
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    cut = np.stack([padded[step * place :][:length] * window for place in range(frames)])
    spectra = np.abs(np.fft.rfft(cut, padded_length))
    hertz = np.linspace(0, 4000, spectra.shape[1])
    bins = 1127 * np.log(1 + hertz / 700)
    edges = np.linspace(*(1127 * np.log(1 + np.array([20, 4000]) / 700)), 10)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - low) / (centre - low)
    falling = (high - bins[:, None]) / (high - centre)
    bands = np.maximum(0, np.minimum(rising, falling))
    bands[0] = 0
    return np.log(np.maximum(spectra @ bands, 1e-5))


def test_log_mel_is_what_numpy_computes():
    values = np.stack([signal(1600, seed) for seed in range(3)])
    made = features_audio.log_mel_graph(values.astype(np.float32) / 2**15, SOUND)
    assert made.shape == (3, 18, 8)
    expected = np.stack([plain_log_mel(one, 18) for one in values])
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-4)


def test_silence_is_the_logarithm_of_the_floor():
    made = features_audio.log_mel_graph(np.zeros((1, 1600), np.float32), SOUND)
    np.testing.assert_allclose(made, math.log(1e-5), rtol=1e-6)


@pytest.mark.parametrize(
    ("samples", "frames"),
    [
        (1, 1),  # shorter than a frame of 200
        (199, 1),
        (200, 1),
        (279, 1),
        (280, 2),
        (1599, 18),
        (1600, 18),  # exactly what the spec keeps
        (1601, 18),
        (5000, 18),
    ],
)
def test_frames_that_hold_sound_are_scored_and_the_rest_is_zero(heard, samples, frames):
    values = signal(samples, seed=samples)
    (made,) = heard([wav(values)]).numpy()
    assert made.shape == (18, 8)
    mean, deviation = np.array(MOMENTS)
    expected = (plain_log_mel(values, frames) - mean) / deviation
    np.testing.assert_allclose(made[:frames], expected, rtol=0, atol=3e-4)
    assert not made[frames:].any()


def test_what_is_behind_the_length_of_the_spec_is_not_heard(heard):
    long = signal(3000)
    np.testing.assert_array_equal(*heard([wav(long), wav(long[:1600])]).numpy())


def test_a_missing_sound_is_zeros_and_neighbours_change_nothing(heard):
    sounds = [b"", wav(signal(300)), b"", wav(signal(1600, 1))]
    together = heard(sounds).numpy()
    assert not together[[0, 2]].any()
    alone = np.concatenate([heard([one]).numpy() for one in sounds])
    np.testing.assert_array_equal(together, alone)


def test_a_band_that_never_varied_counts_as_one_that_varied_by_a_tenth():
    known = KnownAnalyzers(Analysis({}, {"audio": ((0.0,) * 8, (0.0,) * 8)}))
    made = features_audio.audio_graph(tf.constant([wav(signal(200))]), SOUND, known)
    expected = 10 * plain_log_mel(signal(200), 1)
    np.testing.assert_allclose(made[0, :1], expected, rtol=1e-3, atol=0.002)


def changed(content, at, value):
    return content[:at] + value + content[at + len(value) :]


GOOD = wav(signal(400))
NOT_CANONICAL = {
    "big-endian": changed(GOOD, 0, b"RIFX"),
    "another form": changed(GOOD, 8, b"AVI "),
    "stereo": changed(GOOD, 22, b"\2"),
    "8 bits": changed(GOOD, 34, b"\x08"),
    "float": changed(GOOD, 20, b"\3"),
    "another rate": wav(signal(400), rate=16_000),
    "a chunk before the samples": GOOD[:36] + b"LIST\2\0\0\0ab" + GOOD[36:],
    "a chunk behind the samples": GOOD + b"LIST\2\0\0\0ab",
    "declares more than is there": GOOD[:-2],
    "declares less than is there": GOOD + b"\0\0",
    "declares no end": changed(GOOD, 40, b"\xff\xff\xff\xff"),
    "a file size that is not its own": changed(GOOD, 4, struct.pack("<I", 36 + 802)),
    "half a sample": changed(media_audio.header(8000, 2), 40, b"\3\0\0\0") + b"abc",
    "half a sample, said twice": changed(
        changed(media_audio.header(8000, 2), 40, b"\3\0\0\0"), 4, b"\x27\0\0\0"
    )
    + b"abc",
    "no sample": media_audio.header(8000, 0),
    "part of a header": GOOD[:43],
    "a byte": b"R",
    "ogg": media.ogg(8000),
    "flac": media.flac(8000),
    "text": b"no sound" * 50,
}


@pytest.mark.parametrize("kind", NOT_CANONICAL)
def test_what_is_no_canonical_sound_fails_its_batch_and_is_never_heard(heard, kind):
    assert np.isfinite(heard([GOOD]).numpy()).all()
    with pytest.raises(Refused, match="audio: not a canonical WAV"):
        heard([GOOD, NOT_CANONICAL[kind], b""])


# Texts


@pytest.fixture(scope="module")
def words():
    return tf.function(words_graph, STRINGS)


def cut(words, texts):
    """Of each text, its words with where they start and end."""
    found = words([text.encode() for text in texts])
    tokens, starts, ends = (ragged.to_list() for ragged in found)
    return [
        [(word.decode(), start, end) for word, start, end in zip(*row, strict=True)]
        for row in zip(tokens, starts, ends, strict=True)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\r\n\u00a0\u3000\u200b", []),
        ("one two", ["one", "two"]),
        ("  one\ntwo  ", ["one", "two"]),
        ("snake_case 3x 1,5", ["snake_case", "3x", "1", ",", "5"]),
        ("L'été, aujourd’hui!", ["L", "'", "été", ",", "aujourd", "’", "hui", "!"]),
        ("日本語", ["日", "本", "語"]),
        ("ひらがなカタカナ", list("ひらがなカタカナ")),
        ("AI研究2024年", ["AI", "研", "究", "2024", "年"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("x\u0304y e\u0301", ["x\u0304y", "e\u0301"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("שלום, עולם", ["שלום", ",", "עולם"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("ok😀😀 👍🏽", ["ok", "😀", "😀", "👍", "🏽"]),
        ("👩\u200d👧", ["👩", "👧"]),
        ("a\u200bb", ["a", "b"]),
        ("…—«»", ["…", "—", "«", "»"]),
        ("𝒳𠀀", ["𝒳", "𠀀"]),
    ],
)
def test_words_of_many_scripts(words, text, expected):
    (found,) = cut(words, [text])
    assert [word for word, _, _ in found] == expected
    assert [text[start:end] for _, start, end in found] == expected


def test_words_of_a_batch_do_not_run_together(words):
    assert cut(words, ["ab", "", "cd e", " ", "f"]) == [
        [("ab", 0, 2)],
        [],
        [("cd", 0, 2), ("e", 3, 4)],
        [],
        [("f", 0, 1)],
    ]
    assert cut(words, ["", ""]) == [[], []]
    assert cut(words, []) == []


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KNOWN_TEXT = st.text("aéБ9_日カ '.—😀\u0301\u200d\n", max_size=20)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(texts=st.lists(ANY_TEXT | KNOWN_TEXT, max_size=5))
def test_offsets_lead_back_to_the_words_and_nothing_visible_is_left_out(words, texts):
    for text, found in zip(texts, cut(words, texts), strict=True):
        assert [text[start:end] for _, start, end in found] == [word for word, _, _ in found]
        ends = [0, *(end for _, _, end in found)]
        starts = [*(start for _, start, _ in found), len(text)]
        between = [text[end:start] for end, start in zip(ends, starts, strict=True)]
        assert all(end <= start for end, start in zip(ends, starts, strict=True))
        assert not any(character.isalnum() for character in "".join(between))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(texts=st.lists(KNOWN_TEXT, max_size=5))
def test_words_are_those_of_a_plain_reading_of_the_rule(words, texts):
    found = [[word for word, _, _ in row] for row in cut(words, texts)]
    assert found == [plain_words(text) for text in texts]


def plain_words(text):
    made, joins = [], False
    for character in text:
        if character in " \u200d\n":
            joins = False
        elif character in "aéБ9_\u0301":
            if joins:
                made[-1] += character
            else:
                made.append(character)
            joins = True
        else:
            made.append(character)
            joins = False
    return made


def token_ids(texts, **settings):
    what = TextSpec(**{"length": 5, **settings})
    return features_text.text_graph(tf.constant([t.encode() for t in texts]), what, KNOWN)


def test_tokens_become_ids_in_the_order_of_the_vocabulary():
    ids = token_ids(["The été 日", "unknown, THE", "", "\n"])
    assert ids.dtype == tf.int64
    assert ids.numpy().tolist() == [
        [2, 3, 4, PAD, PAD],
        [UNKNOWN, UNKNOWN, 2, PAD, PAD],
        [PAD] * 5,
        [PAD] * 5,
    ]


def test_case_is_folded_beyond_ascii():
    assert token_ids(["ÉTÉ ÉtÉ İ"]).numpy().tolist() == [[3, 3, 5, PAD, PAD]]


def test_a_text_is_cut_at_the_end():
    assert token_ids(["日" * 4 + "the the the"]).numpy().tolist() == [[4, 4, 4, 4, 2]]
    assert token_ids(["the 日 x"], length=2).numpy().tolist() == [[2, 4]]


def test_characters_are_tokens_with_spaces_among_them():
    known = KnownAnalyzers(Analysis({"text_vocabulary": (" ", "a", "é", "😀")}, {}))
    what = TextSpec(tokens="character", length=7)
    texts = tf.constant([one.encode() for one in ("A é😀b", "", "aaaaaaaa ")])
    assert features_text.text_graph(texts, what, known).numpy().tolist() == [
        [3, 2, 4, 5, UNKNOWN, PAD, PAD],
        [PAD] * 7,
        [3] * 7,
    ]


# Records


def features(records, what=SPEC):
    serialized = [raw_examples.from_record(one, what).serialized for one in records]
    inputs = tf.io.parse_example(serialized, preprocessing_fn.raw_feature_spec(what))
    return preprocessing_fn.preprocessing_fn(what, KNOWN)(inputs)


def record(name="r", **fields):
    return CanonicalRecord(name, Position("records.jsonl", 0), **fields)


@pytest.fixture(scope="module")
def labelled():
    """Features of records whose labels are of every kind."""
    return features(
        [
            record("known", labels={"what": "dog", "signs": ["z", "x"]}),
            record("unseen", labels={"what": "elk", "signs": ["new", "y"]}),
            record("missing", image=png(noise(16, 16))),
            record("empty set", labels={"what": "cat", "signs": []}, text=b"the"),
            record("no class", labels={"what": 1.5, "signs": "x"}, audio=GOOD),
        ]
    )


def test_one_class_is_its_place_unseen_ones_come_last_and_missing_ones_are_minus_one(labelled):
    label = labelled["label_kind"]
    assert label.dtype == tf.int64
    assert label.numpy().tolist() == [1, 2, -1, 0, -1]


def test_sets_are_sparse_and_a_missing_set_is_minus_one_alone(labelled):
    sets = labelled["label_marks"]
    assert sets.dtype == tf.int64
    assert sets.indices.numpy().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [4, 0]]
    assert sets.values.numpy().tolist() == [0, 2, 3, 1, -1, -1]
    assert sets.dense_shape.numpy().tolist() == [5, 2]


@pytest.mark.parametrize(
    ("signs", "values", "shape"),
    [([None, None], [-1, -1], [2, 1]), ([[], []], [], [2, 1]), ([["x"], None], [0, -1], [2, 1])],
)
def test_sets_keep_a_column_even_where_every_set_is_empty(signs, values, shape):
    sets = features([record(labels={"signs": one}) for one in signs])["label_marks"]
    assert sets.values.numpy().tolist() == values
    assert sets.dense_shape.numpy().tolist() == shape


def test_masks_say_what_is_there(labelled):
    present = {name: labelled[f"{name}_present"] for name in SPEC.modalities.names}
    assert {mask.dtype for mask in present.values()} == {tf.int64}
    assert {name: mask.numpy().tolist() for name, mask in present.items()} == {
        "image": [0, 0, 1, 0, 0],
        "audio": [0, 0, 0, 0, 1],
        "text": [0, 0, 0, 1, 0],
    }


def test_features_have_the_shapes_and_types_that_are_promised(labelled):
    described = {
        name: (value.dtype.name, value.shape.as_list())
        for name, value in labelled.items()
        if not isinstance(value, tf.SparseTensor)
    }
    assert described == {
        "id": ("string", [5]),
        "image": ("string", [5]),
        "image_present": ("int64", [5]),
        "audio": ("float32", [5, 18, 8]),
        "audio_present": ("int64", [5]),
        "text": ("int64", [5, 5]),
        "text_grams": ("int64", [5, 100]),
        "text_present": ("int64", [5]),
        "label_kind": ("int64", [5]),
    }
    assert labelled["id"].numpy().tolist()[3] == b"empty set"


def test_a_spec_of_one_modality_has_features_of_that_one_alone():
    what = loading.parse(
        """
modalities: {text: {length: 5}}
tasks: {kind: {kind: classification, label: what}}
"""
    )
    assert list(preprocessing_fn.raw_feature_spec(what)) == [
        *("id", "text", "label_kind", "label_kind_given")
    ]
    made = features([record(image=b"not looked at", text=b"the")], what)
    assert set(made) == {"id", "text", "text_grams", "text_present", "label_kind"}
