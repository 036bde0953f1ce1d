"""Shapley shares of modalities: their axioms, on games and on whole models."""

import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from triad_ml.model import layout as model_layout
from triad_ml.model import network as model_network
from triad_ml.model.serving import bundle, export, shapley
from triad_ml.model.serving.scorer import Scorer, load_scorer
from triad_ml.model.tasks.classification import head
from triad_ml.pipelines.sources import read as sources_read
from triad_ml.pipelines.sources import units
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import CanonicalRecord, RawRecord, Scored
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.spec import Spec

NAMES = ("image", "audio", "text")
ROWS = 11
SPEC = """
modalities:
  image: {size: 16}
  audio: {sample_rate: 8000, seconds: 0.3, mel_bins: 8}
  text: {vocabulary: 30, length: 6}
tasks:
  kind: {kind: classification, label: kind}
  marks: {kind: classification, label: marks, multi_label: true}
  names: {kind: tagging, label: names}
model: {dim: 8, image_filters: [4], audio_filters: [4], text_dim: 4}
"""

Values = dict[frozenset[int], npt.NDArray[np.float64]]


def brute_force(values: Values, players: int) -> npt.NDArray[np.float64]:
    """What each player adds when it joins, averaged over all orders, one by one."""
    shares = np.zeros((len(values[frozenset()]), players))
    for order in itertools.permutations(range(players)):
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            shares[:, player] += values[before | {player}] - values[before]
    return shares / math.factorial(players)


def game(players: int, seed: int) -> Values:
    rng = np.random.default_rng(seed)
    return {coalition: rng.random(ROWS) for coalition in shapley.coalitions(players)}


def shares_of(values: Values, players: int) -> npt.NDArray[np.float64]:
    given = {coalition: tf.constant(one, tf.float64) for coalition, one in values.items()}
    return shapley.shapley(given, players).numpy()


class TestGames:
    @pytest.mark.parametrize("players", [1, 2, 3])
    def test_shares_are_the_average_over_all_orders_of_joining(self, players: int) -> None:
        values = game(players, seed=players)
        shares = shares_of(values, players)
        np.testing.assert_allclose(shares, brute_force(values, players), atol=1e-15)
        everyone, nobody = values[frozenset(range(players))], values[frozenset()]
        np.testing.assert_allclose(shares.sum(axis=1), everyone - nobody, atol=1e-15)

    def test_who_adds_nothing_to_any_coalition_has_a_share_of_zero(self) -> None:
        values = game(3, seed=5)
        values |= {one | {1}: value for one, value in values.items() if 1 not in one}
        assert (shares_of(values, 3)[:, 1] == 0).all()

    def test_two_who_add_the_same_to_every_coalition_have_the_same_share(self) -> None:
        values = game(3, seed=6)
        values[frozenset({2})] = values[frozenset({0})]
        values[frozenset({1, 2})] = values[frozenset({0, 1})]
        shares = shares_of(values, 3)
        np.testing.assert_allclose(shares[:, 0], shares[:, 2], atol=1e-15)
        assert (abs(shares[:, 0] - shares[:, 1]) > 1e-3).any()

    def test_there_are_as_many_coalitions_as_subsets_each_once(self) -> None:
        assert shapley.coalitions(2) == (
            frozenset(),
            frozenset({0}),
            frozenset({1}),
            frozenset({0, 1}),
        )


@dataclasses.dataclass(frozen=True)
class Network:
    """A network as it is before training, with records that lack this and that."""

    layout: model_layout.Layout
    networks: model_network.Networks
    inputs: dict[str, tf.Tensor]

    @property
    def model(self) -> keras.Model:
        return self.networks.scoring

    def given(self, seen: tuple[str, ...]) -> dict[str, npt.NDArray[np.float32]]:
        """Probabilities by task where the model itself is told that the rest is missing."""
        hidden = {
            f"{name}_present": tf.zeros_like(self.inputs[f"{name}_present"])
            for name in NAMES
            if name not in seen
        }
        logits = self.model({**self.inputs, **hidden}, training=False)
        return {
            "kind": head.probabilities(logits["kind"], multi_label=False).numpy(),
            "marks": head.probabilities(logits["marks"], multi_label=True).numpy(),
        }


@pytest.fixture(scope="module", params=["gated", "attention", "gated, task_fusion: mlp"])
def network(request: pytest.FixtureRequest) -> Network:
    classes = {"kind": ("a", "b", "c"), "marks": ("x", "y"), "names": ("p",)}
    spec = loading.parse(SPEC.replace("model: {", f"model: {{fusion: {request.param}, "))
    layout = model_layout.Layout(spec, classes, 20)
    keras.utils.set_random_seed(8)
    networks = model_network.build_networks(layout)
    for layer in networks.scoring.layers:
        if layer.name.endswith("_shared"):  # zero at first
            layer.kernel.assign(0.5 * keras.random.normal(layer.kernel.shape))
    rng = np.random.default_rng(2)
    sections = layout.spec.modalities
    assert sections.audio is not None
    sound = (ROWS, sections.audio.frames, sections.audio.mel_bins)
    inputs = {
        "image": tf.constant(rng.integers(0, 256, (ROWS, 16, 16, 3)), tf.uint8),
        "audio": tf.constant(rng.normal(size=sound), tf.float32),
        "text": tf.constant(rng.integers(0, 20, (ROWS, 6)), tf.int64),
    }
    # Every combination of what can be missing, nothing and everything included.
    for place, name in enumerate(NAMES):
        present = [bool(row >> place & 1) for row in range(ROWS)]
        inputs[f"{name}_present"] = tf.constant(present)
    return Network(layout, networks, inputs)


def explained(network: Network) -> tuple[dict[str, Any], dict[str, Any]]:
    """Distributions, and shares, of the two tasks that have some."""
    explainer = shapley.Explainer(network.networks, network.layout.spec)
    logits, towers = explainer.logits(network.inputs)
    distributions = {
        "kind": head.probabilities(logits["kind"], multi_label=False),
        "marks": head.probabilities(logits["marks"], multi_label=True),
    }
    return distributions, explainer.shares(towers, distributions)


def test_one_modality_has_all_of_the_share() -> None:
    spec = loading.parse("""
modalities: {text: {vocabulary: 30, length: 6}}
tasks: {kind: {kind: classification, label: kind}}
model: {dim: 8, text_dim: 4}
""")
    layout = model_layout.Layout(spec, {"kind": ("a", "b")}, 20)
    explainer = shapley.Explainer(model_network.build_networks(layout), spec)
    inputs = {
        "text": tf.constant([[2, 3, 0, 0, 0, 0], [4, 0, 0, 0, 0, 0]], tf.int64),
        "text_present": tf.constant([True, False]),
    }
    logits, towers = explainer.logits(inputs)
    distribution = head.probabilities(logits["kind"], multi_label=False)
    baseline, shares = explainer.shares(towers, {"kind": distribution})["kind"]
    score = distribution.numpy().max(axis=1)
    assert shares.shape == (2, 1)
    np.testing.assert_allclose(shares[0, 0], score[0] - baseline[0], atol=1e-7)
    assert abs(float(shares[0, 0])) > 1e-3
    assert float(shares[1, 0]) == 0
    np.testing.assert_allclose(baseline[1], score[1], atol=1e-7)


def test_attention_over_a_vector_alone_has_no_steps_to_hide() -> None:
    encoder = {"image_encoder": "efficientnet_lite0", "image_weights": "unread.weights.h5"}
    spec = Spec.model_validate(
        {
            "modalities": {"image": {"size": 32}},
            "tasks": {"kind": {"kind": "classification", "label": "kind"}},
            "model": {"fusion": "attention", "dim": 8, **encoder},
        }
    )
    layout = model_layout.Layout(spec, {"kind": ("a", "b")}, 0)
    explainer = shapley.Explainer(model_network.build_networks(layout), spec)
    vectors = np.random.default_rng(0).normal(size=(2, layout.image_width))
    inputs = {
        "image": tf.constant(vectors, tf.float32),
        "image_present": tf.constant([True, False]),
    }
    logits, towers = explainer.logits(inputs)
    distribution = head.probabilities(logits["kind"], multi_label=False)
    baseline, shares = explainer.shares(towers, {"kind": distribution})["kind"]
    score = distribution.numpy().max(axis=1)
    np.testing.assert_allclose(shares[:, 0] + baseline, score, atol=1e-6)
    assert abs(float(shares[0, 0])) > 1e-4


class TestNetwork:
    def test_cut_in_two_it_gives_what_it_gives_whole(self, network: Network) -> None:
        explainer = shapley.Explainer(network.networks, network.layout.spec)
        logits, _ = explainer.logits(network.inputs)
        whole = network.model(network.inputs, training=False)
        assert set(logits) == {"kind", "marks", "names"}
        for task, expected in whole.items():
            np.testing.assert_array_equal(logits[task], expected)

    def test_hiding_behind_the_towers_is_hiding_before_them(self, network: Network) -> None:
        distributions, found = explained(network)
        assert set(found) == {"kind", "marks"}  # no tagging
        present = np.stack([network.inputs[f"{name}_present"].numpy() for name in NAMES], axis=1)
        for task, (baseline, shares) in found.items():
            likeliest = distributions[task].numpy().argmax(axis=1)
            values = {
                coalition: network.given(tuple(NAMES[place] for place in coalition))[task][
                    np.arange(ROWS), likeliest
                ].astype(np.float64)
                for coalition in shapley.coalitions(3)
            }
            np.testing.assert_allclose(shares, brute_force(values, 3), atol=2e-7)
            np.testing.assert_allclose(baseline, values[frozenset()], atol=2e-7)
            assert (shares.numpy()[~present] == 0).all()
            assert (abs(shares.numpy()[present]) > 1e-3).mean() > 0.8

    def test_shares_add_up_to_the_score_less_the_baseline(self, network: Network) -> None:
        distributions, found = explained(network)
        for task, (baseline, shares) in found.items():
            total = baseline.numpy().astype(np.float64) + shares.numpy().sum(axis=1)
            np.testing.assert_allclose(total, distributions[task].numpy().max(axis=1), atol=1e-6)

    def test_towers_run_once_for_all_coalitions(self, network: Network) -> None:
        explainer = shapley.Explainer(network.networks, network.layout.spec)

        @tf.function(autograph=False)
        def shares(inputs: dict[str, tf.Tensor]) -> Any:
            logits, towers = explainer.logits(inputs)
            kind = head.probabilities(logits["kind"], multi_label=False)
            marks = head.probabilities(logits["marks"], multi_label=True)
            return explainer.shares(towers, {"kind": kind, "marks": marks})

        def convolutions(call: Any) -> int:
            graph = call.get_concrete_function(network.inputs).graph
            return sum(one.type in {"Conv2D", "DepthwiseConv2dNative"} for one in operations(graph))

        alone = tf.function(lambda inputs: network.model(inputs, training=False), autograph=False)
        assert convolutions(shares) == convolutions(alone) > 0

    @pytest.mark.parametrize("network", ["attention"], indirect=True)
    def test_the_words_and_patches_of_what_is_hidden_are_not_attended_to(
        self, network: Network
    ) -> None:
        explainer = shapley.Explainer(network.networks, network.layout.spec)
        _, towers = explainer.logits(network.inputs)
        rest = tf.function(towers.rest, autograph=False)

        def attended(coalition: frozenset[int]) -> set[Any]:
            """How many tokens the attention of a coalition's graph goes over."""
            graph = rest.get_concrete_function(coalition).graph
            return {one.inputs[0].shape[-1] for one in operations(graph) if one.type == "Softmax"}

        steps = {0: 16, 1: 7, 2: 6}  # patches, moments, words
        for coalition in shapley.coalitions(3):
            own = 3 + sum(steps[place] for place in coalition)
            assert attended(coalition) == {own}, coalition


def operations(graph: Any) -> list[Any]:
    """All operations of a graph and of the functions that it calls."""
    own = list(graph.get_operations())
    for function in graph._functions.values():
        own += function.graph.get_operations() if hasattr(function, "graph") else []
    return own


@pytest.fixture(scope="module")
def model(trained: Path) -> bundle.Artefact:
    return bundle.load(trained)


@pytest.fixture(scope="module")
def records(model: bundle.Artefact, generated: Path) -> list[CanonicalRecord]:
    canonicalizer = Canonicalizer(model.spec, (), check=False)
    (unit,) = units.plan(units.list_inputs([str(generated)]))
    read = sources_read.read(unit, model.spec.label_names)
    made = [canonicalizer.canonical(one) for one in read if isinstance(one, RawRecord)]
    return [one for one in made if isinstance(one, CanonicalRecord)][:60]


@pytest.fixture(scope="module")
def explaining(model: bundle.Artefact) -> Scorer:
    return Scorer(model, explain=True)


def prediction(outcome: Any) -> Any:
    assert isinstance(outcome, Scored)
    return outcome.predictions["category"]


class TestSavedModel:
    def test_shares_are_those_of_serving_the_record_without_its_media(
        self, model: bundle.Artefact, explaining: Scorer, records: list[CanonicalRecord]
    ) -> None:
        some = records[:20]
        found = explaining.outputs(some)
        likeliest = found["category/distribution"].argmax(axis=1)
        plain = Scorer(model)
        values = {}
        for coalition in shapley.coalitions(3):
            hidden = {name: b"" for place, name in enumerate(NAMES) if place not in coalition}
            served = plain.outputs([dataclasses.replace(one, **hidden) for one in some])
            chosen = served["category/distribution"][np.arange(len(some)), likeliest]
            values[coalition] = chosen.astype(np.float64)
        expected = brute_force(values, 3)
        np.testing.assert_allclose(found["category/shares"], expected, atol=1e-5)
        np.testing.assert_allclose(found["category/baseline"], values[frozenset()], atol=1e-5)
        assert abs(expected).max() > 0.01

    def test_a_score_with_an_explanation_is_bit_for_bit_the_one_without(
        self, model: bundle.Artefact, explaining: Scorer, records: list[CanonicalRecord]
    ) -> None:
        served, with_shares = Scorer(model).outputs(records[:48]), explaining.outputs(records[:48])
        assert set(with_shares) - set(served) == {"category/baseline", "category/shares"}
        for name, expected in served.items():
            assert with_shares[name].tolist() == expected.tolist(), name

    def test_an_explanation_does_not_depend_on_what_is_scored_beside_it(
        self, explaining: Scorer, records: list[CanonicalRecord]
    ) -> None:
        together = [prediction(one).explanation for one in explaining.score(records)]
        alone = [prediction(explaining.score([one])[0]).explanation for one in records[:5]]
        backwards = [prediction(one).explanation for one in explaining.score(records[::-1])]
        assert together[:5] == alone
        assert together == backwards[::-1]

    def test_an_explanation_names_the_class_and_each_modality(
        self, explaining: Scorer, records: list[CanonicalRecord]
    ) -> None:
        for outcome in explaining.score(records):
            said = prediction(outcome)
            assert said.explanation.label == said.label
            assert list(said.explanation.shares) == list(NAMES)
            total = said.explanation.baseline + sum(said.explanation.shares.values())
            assert abs(total - said.score) < 1e-5
            for name in NAMES:
                if name not in outcome.modalities_used:
                    assert said.explanation.shares[name] == 0

    def test_without_being_asked_there_is_none(
        self, model: bundle.Artefact, records: list[CanonicalRecord]
    ) -> None:
        assert prediction(Scorer(model).score(records[:1])[0]).explanation is None

    def test_who_asks_for_explanations_is_not_given_a_scorer_that_has_none(
        self, model: bundle.Artefact, records: list[CanonicalRecord]
    ) -> None:
        folder, digest = str(model.folder), model.model_digest
        plain = load_scorer(folder, digest, False)
        (said,) = load_scorer(folder, digest, True).score(records[:1])
        assert prediction(said).explanation is not None
        (said,) = load_scorer(folder, digest, False).score(records[:1])
        assert prediction(said).explanation is None
        assert load_scorer(folder, digest, False) is plain

    def test_a_signature_is_named_explain(self, model: bundle.Artefact) -> None:
        assert export.EXPLAIN in tf.saved_model.load(str(model.saved_model)).signatures
