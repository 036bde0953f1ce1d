"""Benchmark of the category of stamps in five folds: networks and linear models by modality subset.

    triad encoder --output LITE0.weights.h5
    python examples/stamps.py --out STAMPS --cache CACHE
    python -m benchmarks.category --records STAMPS/records.jsonl --weights LITE0.weights.h5

The data are the records with an image, of classes with at least ten of them. Folds consist of whole
groups; each record is predicted once, by networks that saw none of its group. The settings are
those of `examples/transfer.yaml`. Each training runs all epochs; none is chosen by a test fold.
Accuracy and macro-F1 are computed on all records together, from the five networks of a seed; the
table has the median and the range over the seeds. "Linear" are the linear models that `triad train`
fits beside the network, on the same folds; they choose their strength on training records. The
logistic regression is one of scikit-learn's, on image embeddings, audio statistics, and n-grams of
characters (tf-idf), with one strength.

With `--audio-encoder whisper --audio-weights FILE` networks and regression read the vectors of a
frozen audio encoder instead of log-mel frames and their statistics; `--audio-pooling` and
`--audio-layers` are the keys of the spec. With `--text-encoder universal-sentence-encoder
--text-weights FOLDER` networks and linear models read the vectors of a frozen text encoder; the
regression reads n-grams as before. With `--recipe auto` the rows "auto" take the place of those of
the network: network, linear models or their blend, as chosen on the training records of each fold.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import GroupKFold

from benchmarks.seeds import write_records
from benchmarks.stamps import LEAST
from triad_ml.pipelines.runtime import environment

SPEC = Path(__file__).resolve().parents[1] / "examples" / "transfer.yaml"
FOLDS = 5
SUBSETS = ("image", "audio", "text", "image+text", "image+audio+text")
TASK = "category"

Pair = tuple[float, float]
Row = Mapping[str, Any]


def main() -> None:
    """Runs the measurements that the folder does not have yet, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--audio-encoder")
    parser.add_argument("--audio-weights", type=Path)
    parser.add_argument("--audio-pooling")
    parser.add_argument("--audio-layers", type=int, nargs="+")
    parser.add_argument("--text-encoder")
    parser.add_argument("--text-weights", type=Path)
    parser.add_argument("--recipe", default="network", choices=("network", "linear", "auto"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--subsets", nargs="+", default=SUBSETS)
    parser.add_argument("--spec", type=Path, default=SPEC)
    parser.add_argument(
        "--folder", type=Path, help="folder for the results; default: a temporary one"
    )
    arguments = parser.parse_args()
    environment.prepare()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="triad-category-"))
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    rows = chosen(arguments.records)
    truth = [row["labels"][TASK] for row in rows]
    groups = [row["group"] for row in rows]
    folds = list(GroupKFold(FOLDS, shuffle=True, random_state=0).split(rows, truth, groups))
    encoders = {
        "audio_encoder": arguments.audio_encoder,
        "audio_pooling": arguments.audio_pooling,
        "audio_layers": arguments.audio_layers,
        "recipe": arguments.recipe,
    }
    if arguments.audio_weights is not None:
        encoders["audio_weights"] = str(arguments.audio_weights.resolve())
    if arguments.text_encoder is not None:
        weights = str(arguments.text_weights.resolve())
        encoders |= {"text_encoder": arguments.text_encoder, "text_weights": weights}
        encoders["text_freeze"] = True
    # Texts are read anyway: every record has one, so none is rejected for having nothing.
    read = {"text", *(name for subset in arguments.subsets for name in subset.split("+"))}
    spec = _spec_file(arguments.spec, arguments.weights, folder, encoders, read)
    prepared = [
        prepare(rows, set(test.tolist()), spec, arguments.records.parent, folder / f"fold-{fold}")
        for fold, (_, test) in enumerate(folds)
    ]
    print(f"{len(rows)} records, {len(set(truth))} classes, {FOLDS} folds", flush=True)
    for subset in arguments.subsets:
        kept = folder / f"regression-{subset}.json"
        if not kept.is_file():
            predicted = regression(rows, folds, prepared[0], subset.split("+"))
            kept.write_text(json.dumps(predicted), encoding="utf-8")
        predicted = json.loads(kept.read_text(encoding="utf-8"))
        show(f"regression, {subset}", [scores(truth, predicted)])
    for subset in arguments.subsets:
        by_id = {}
        for data in prepared:
            by_id |= linear(data, subset.split("+"))
        show(f"linear, {subset}", [scores(truth, [by_id[row["id"]] for row in rows])])
    for subset in arguments.subsets:
        measured = []
        for seed in arguments.seeds:
            by_id = {}
            for fold, data in enumerate(prepared):
                by_id |= trained(data, subset.split("+"), seed, folder / f"fold-{fold}")
            measured.append(scores(truth, [by_id[row["id"]] for row in rows]))
        show(f"{arguments.recipe}, {subset}", measured)
    print(f"{time.monotonic() - started:.0f} s")


def chosen(records: Path) -> list[Row]:
    """Returns the records of the benchmark, with absolute paths of media."""
    rows = [json.loads(line) for line in records.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["image"]]
    names = [row["labels"][TASK] for row in rows]
    rows = [row for row in rows if names.count(row["labels"][TASK]) >= LEAST]
    for row in rows:
        for name in ("image", "audio"):
            row[name] = row[name] and str((records.parent / row[name]).resolve())
    return rows


def prepare(rows: Sequence[Row], test: set[int], spec: Path, media: Path, folder: Path) -> Path:
    """Preprocesses one fold, unless its prepared data exist; returns their folder."""
    from triad_ml.pipelines.preprocessing import run as preprocessing_run
    from triad_ml.pipelines.preprocessing.config import PreprocessConfig

    folder.mkdir(exist_ok=True)
    records = folder / "records.jsonl"
    splits = ("test" if index in test else "train" for index in range(len(rows)))
    pairs = zip(rows, splits, strict=True)
    write_records(records, ({**row, "split": split} for row, split in pairs))
    output = folder / "data"
    roots = (str(media.resolve()),)
    preprocessing_run.run(
        PreprocessConfig(str(spec), (str(records),), str(output), media_roots=roots)
    )
    return output


def trained(data: Path, modalities: Sequence[str], seed: int, folder: Path) -> dict[str, str]:
    """Trains a model for these modalities; returns its predictions on the test fold, by id."""
    from triad_ml.model.data import datasets as training_data
    from triad_ml.model.evaluation import predict
    from triad_ml.pipelines.training import learning

    prepared, layout = _layout(data, modalities, seed)
    kept = folder / f"{'-'.join(modalities)}-{seed}-{layout.spec.digest()[:12]}.json"
    if not kept.is_file():
        files = {"train": prepared.files("train"), "eval": prepared.files("eval")}
        with tempfile.TemporaryDirectory() as output:
            found = learning.learn(files, layout, Path(output), "benchmark", None)
        dataset = training_data.eval_dataset(prepared.files("test"), found.layout, 48)
        predictions = predict.predict(found.networks.scoring, dataset, found.layout)
        best = predictions.said[TASK].argmax(axis=1)
        pairs = zip(predictions.ids, best, strict=True)
        labels = {record_id: layout.classes[TASK][index] for record_id, index in pairs}
        kept.write_text(json.dumps(labels), encoding="utf-8")
    return dict(json.loads(kept.read_text(encoding="utf-8")))


def linear(data: Path, modalities: Sequence[str]) -> dict[str, str]:
    """Fits the linear model of all these modalities; returns its predictions, by id."""
    from triad_ml.model.data import scan
    from triad_ml.model.linear import floor

    prepared, layout = _layout(data, modalities)
    models = floor.fitted(scan.survey(prepared.files("train"), layout), layout)
    test = scan.survey(prepared.files("test"), layout)
    subset = "+".join(layout.spec.modalities.names)
    best = floor.predicted(models, test, layout)[TASK][subset].argmax(axis=1)
    assert test.records is not None  # so few that they are kept
    ids = [_id_of(record) for record in test.records.numpy()]
    pairs = zip(ids, best, strict=True)
    return {record_id: layout.classes[TASK][index] for record_id, index in pairs}


def _id_of(record: bytes) -> str:
    import tensorflow as tf

    columns = tf.train.Example.FromString(record).features.feature
    return str(columns["id"].bytes_list.value[0].decode())


def _layout(data: Path, modalities: Sequence[str], seed: int = 0) -> tuple[Any, Any]:
    """Returns prepared data, and the layout of a spec of these modalities alone."""
    from triad_ml.model import layout as model_layout
    from triad_ml.pipelines.preprocessing import dataset as preprocessing_dataset

    prepared = preprocessing_dataset.read(data)
    whole = json.loads(prepared.spec.to_json())
    _keep(whole, set(modalities))
    whole["training"]["seed"] = seed
    spec = type(prepared.spec).model_validate(whole)
    return prepared, model_layout.Layout(spec, prepared.classes, prepared.vocabulary_size)


def _keep(whole: dict[str, Any], modalities: Collection[str]) -> None:
    """Removes the other modalities of a spec, and their encoders."""
    whole["modalities"] = {n: one for n, one in whole["modalities"].items() if n in modalities}
    keys = ("encoder", "weights", "weights_sha256", "freeze", "pooling", "layers", "arguments")
    for name in {"image", "audio", "text"} - {*modalities}:
        for key in (*keys, "tower", "pieces"):
            whole["model"].pop(f"{name}_{key}", None)


def regression(
    rows: Sequence[Row], folds: Sequence[Any], data: Path, modalities: Sequence[str]
) -> list[str]:
    """Returns the prediction of a logistic regression with balanced classes for each record."""
    features = _features(rows, data)
    truth = np.array([row["labels"][TASK] for row in rows])
    predicted = truth.copy()
    for train, test in folds:
        sides = []
        for side in (train, test):
            columns = [features[name][side] for name in modalities if name != "text"]
            if "text" in modalities:
                grams = TfidfVectorizer(analyzer="char", ngram_range=(2, 4))
                grams.fit([rows[index]["text"] for index in train])
                columns.append(grams.transform([rows[index]["text"] for index in side]).toarray())
            sides.append(np.concatenate(columns, axis=1))
        model = LogisticRegression(C=10.0, class_weight="balanced", max_iter=2000)
        predicted[test] = model.fit(sides[0], truth[train]).predict(sides[1])
    return [str(label) for label in predicted]


def _features(rows: Sequence[Row], data: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Returns unit vectors, float32 `[records, dimensions]`, of image and of audio.

    Those of modalities that were prepared; the vector of an audio is that of the audio encoder, or
    without one mean and standard deviation of each mel band.
    """
    import tensorflow as tf

    from triad_ml.pipelines.preprocessing import dataset as preprocessing_dataset

    by_id = {}
    prepared = preprocessing_dataset.read(data)
    files = [*prepared.files("train"), *prepared.files("test")]
    names = [name for name in prepared.spec.modalities.names if name != "text"]
    for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
        columns = tf.train.Example.FromString(record).features.feature
        found = {n: np.array(columns[n].float_list.value, np.float32) for n in names}
        if "audio" in names and prepared.spec.model.audio_encoder is None:
            frames = found["audio"].reshape(-1, prepared.spec.modalities.audio.mel_bins)
            found["audio"] = np.concatenate([frames.mean(axis=0), frames.std(axis=0)])
        by_id[_id_of(record)] = found
    stacked = {name: np.stack([by_id[row["id"]][name] for row in rows]) for name in names}
    return {n: v / (np.linalg.norm(v, axis=1, keepdims=True) + 1e-9) for n, v in stacked.items()}


def _spec_file(
    spec: Path,
    weights: Path,
    folder: Path,
    encoders: Mapping[str, Any],
    modalities: Collection[str],
) -> Path:
    content = yaml.safe_load(spec.read_text(encoding="utf-8"))
    content["model"] |= {"image_weights": str(weights.resolve()), **encoders}
    _keep(content, modalities)
    (folder / "spec.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder / "spec.yaml"


def scores(truth: Sequence[str], predicted: Sequence[str]) -> Pair:
    """Returns accuracy and macro-F1."""
    return accuracy_score(truth, predicted), f1_score(truth, predicted, average="macro")


def show(name: str, measured: Sequence[Pair]) -> None:
    """Prints median and range of each figure."""
    line = f"{name:32}"
    for values in zip(*measured, strict=True):
        line += f"{statistics.median(values):10.3f}"
        line += f"{f'{min(values):.3f}-{max(values):.3f}' if len(values) > 1 else '':>16}"
    print(line, flush=True)


if __name__ == "__main__":
    main()
