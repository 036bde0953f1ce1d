r"""Benchmark of libraries that Triad could use: librosa, OpenCV and NLTK, against what it uses.

    pip install librosa==0.11.0 opencv-python-headless==5.0.0.93 nltk==3.10.4
    python -m benchmarks.libraries --commands COMMANDS.jsonl.gz

Each part needs only its own library, and says so if that is missing. Times are CPU time, medians of
`--rounds`; both sides of a ratio take turns in one process, with one thread. OpenCV's results are
compared as bytes between its own settings of threads and instruction sets.
"""

import argparse
import gzip
import hashlib
import importlib.util
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

KEEP = 4_000_000
"""Pixels of a reduced image: the default of `limits.keep_pixels`."""
SETTINGS: Mapping[str, str] = {
    "all": "",
    "no AVX-512": "AVX512-SKX",
    "no AVX2": "AVX512-SKX,AVX2",
    "SSE3 alone": "AVX512-SKX,AVX2,AVX,FP16,SSE4.2,SSE4.1",
}
"""Instruction sets that OpenCV must not use, by setting."""


def main() -> None:
    """Runs all parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--commands", type=Path, help="commands with intents; see `tagging`")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--digest", choices=["area", "lanczos"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.digest:
        print(_digest(arguments.digest))
        return
    imports(arguments.rounds)
    if _has("cv2"):
        resizing(arguments.rounds)
        sharpness(arguments.rounds)
        gradients(arguments.rounds)
    if _has("nltk"):
        translations(arguments.rounds)
        if arguments.commands:
            stems(arguments.commands, arguments.seeds)


def imports(rounds: int) -> None:
    """Prints the CPU time of importing each library in a new process, beyond Python itself."""
    _title("imports, CPU-s")
    programs = {
        "numpy": "import numpy",
        "librosa": "import librosa",
        "librosa, a filter bank": "import librosa; librosa.filters.mel(sr=16000, n_fft=512)",
        "librosa, an effect": "import librosa, numpy as np; "
        "librosa.effects.time_stretch(np.zeros(16000, 'f'), rate=1.1)",
        "cv2": "import cv2",
        "nltk, a stemmer": "from nltk.stem import snowball; snowball.SnowballStemmer('english')",
    }
    bare = _of_processes("pass", rounds)
    for name, program in programs.items():
        if _has(program.split()[1].rstrip(";,").split(".")[0]):
            print(f"{name:<28}{_of_processes(program, rounds) - bare:8.2f}")


def resizing(rounds: int) -> None:
    """Compares Pillow and OpenCV at reducing an image of 30 million pixels."""
    import cv2

    _title("reducing 6,000 x 5,000 pixels to 4 million, CPU-ms")
    cv2.setNumThreads(1)
    pixels = _picture(6000, 5000)
    size = _target(pixels)
    image = Image.fromarray(pixels)
    lanczos = Image.Resampling.LANCZOS
    ways: dict[str, Callable[[], Any]] = {
        "Pillow, as Triad does": lambda: image.resize(size, lanczos, reducing_gap=2.0),
        "Pillow, without a gap": lambda: image.resize(size, lanczos),
        "Pillow, box": lambda: image.resize(size, Image.Resampling.BOX),
        "OpenCV, INTER_AREA": lambda: cv2.resize(pixels, size, interpolation=cv2.INTER_AREA),
        "OpenCV, INTER_LANCZOS4": lambda: cv2.resize(
            pixels, size, interpolation=cv2.INTER_LANCZOS4
        ),
    }
    _compare(ways, rounds)
    content = io.BytesIO()
    image.save(content, "PNG", compress_level=1)
    small = image.resize(size, lanczos, reducing_gap=2.0)
    _compare(
        {
            "whole of the other work: decode": lambda: Image.open(content).convert("RGB").load(),
            "whole of the other work: encode": lambda: small.save(
                io.BytesIO(), "PNG", compress_level=1
            ),
        },
        rounds,
    )
    exact = np.asarray(image.resize(size, lanczos)).astype(int)
    for name in list(ways)[:1] + list(ways)[2:]:
        difference = np.abs(np.asarray(ways[name]()).astype(int) - exact)
        about = f"{difference.mean():.2f}, at most {difference.max()}"
        print(f"{name:<36} off the exact Lanczos by {about}")
    for method in ("area", "lanczos"):
        digests = {name: _digest_of(method, sets) for name, sets in SETTINGS.items()}
        for threads in (1, 2):
            cv2.setNumThreads(threads)
            digests[f"{threads} threads"] = _digest(method)
        cv2.setNumThreads(1)
        alike = {name: digest == digests["all"] for name, digest in digests.items()}
        print(f"{method:<36} bytes equal to those with all instruction sets: {alike}")


def sharpness(rounds: int) -> None:
    """Compares numpy and OpenCV at the variance of the Laplacian of a gray image."""
    import cv2

    _title("sharpness of 2,000 x 2,000 pixels, CPU-ms")
    gray = _picture(2000, 2000)[..., 1]

    def by_numpy() -> float:
        wide = gray.astype(np.int32)
        inner = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]
        values = inner - 4 * wide[1:-1, 1:-1]
        return float(values.var())

    def by_opencv() -> float:
        return float(cv2.Laplacian(gray, cv2.CV_32F)[1:-1, 1:-1].var(dtype=np.float64))

    _compare({"numpy": by_numpy, "OpenCV": by_opencv}, rounds)
    print(f"values: {by_numpy():.6f} and {by_opencv():.6f}")


def gradients(rounds: int) -> None:
    """Compares histograms of gradients in TensorFlow, as Triad has them, with those of OpenCV."""
    import cv2

    _title("histograms of gradients, CPU-ms for 48 images of 96 x 96")
    if not hasattr(cv2, "HOGDescriptor"):
        print(f"OpenCV {cv2.__version__} has none: they are in its contributed modules")
    import tensorflow as tf

    from triad_ml.model.linear import views

    batch = np.stack([_picture(96, 96, seed) for seed in range(48)])
    graph = tf.function(views.colours_and_gradients)
    ways: dict[str, Callable[[], Any]] = {"Triad, with colours": lambda: graph(batch).numpy()}
    if hasattr(cv2, "HOGDescriptor"):
        described = cv2.HOGDescriptor((96, 96), (24, 24), (12, 12), (12, 12), 9)
        ways["OpenCV"] = lambda: [described.compute(image) for image in batch]
    _compare(ways, rounds)


def translations(rounds: int) -> None:
    """Compares sacrebleu and NLTK at BLEU, and tries METEOR."""
    from nltk.translate import bleu_score, meteor_score
    from sacrebleu.metrics import BLEU

    _title("BLEU of 1,000 sentences, CPU-ms")
    random = np.random.default_rng(0)
    words = [f"w{number}" for number in range(300)]
    texts = [[words[n] for n in random.integers(300, size=12)] for _ in range(1000)]
    written = [[w for w in text if random.random() < 0.8] for text in texts]
    joined = [" ".join(text) for text in texts]
    ways: dict[str, Callable[[], float]] = {
        "sacrebleu": lambda: (
            BLEU(tokenize="none").corpus_score([" ".join(one) for one in written], [joined]).score
            / 100
        ),
        "NLTK": lambda: bleu_score.corpus_bleu([[text] for text in texts], written),
    }
    _compare(ways, rounds)
    print("values: " + ", ".join(f"{way():.6f}" for way in ways.values()))
    try:
        other = [*written[0], "other"]  # without an exact match, so that synonyms are looked up
        print(f"METEOR: {meteor_score.meteor_score([texts[0]], other):.3f}")
    except LookupError as error:
        print("METEOR: " + " ".join(str(error).replace("*", "").split())[:90])


def stems(commands: Path, seeds: Sequence[int]) -> None:
    """Compares linear models of n-grams with and without stems and stop words."""
    from nltk.corpus import stopwords
    from nltk.stem.snowball import SnowballStemmer
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    _title("intent of commands by a linear model, accuracy on 3,000 held-out commands")
    try:
        stop = frozenset(stopwords.words("english"))
    except LookupError:
        stop = ENGLISH_STOP_WORDS
        print("NLTK's stop words are not in its package; those of scikit-learn take their place")
    stemmer = SnowballStemmer("english")
    with gzip.open(commands, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    plain = [row["text"].lower().split() for row in rows]
    begun = time.process_time()
    stemmed = [[stemmer.stem(word) for word in text] for text in plain]
    each = (time.process_time() - begun) / len(rows)
    print(f"stemming: {1e3 * each:.3f} CPU-ms a text of {np.mean([*map(len, plain)]):.1f} words")
    labels = np.array([row["labels"]["intent"] for row in rows])
    groups = np.array([row["group"] for row in rows])
    ways = {
        "words and characters": plain,
        "stems and characters": stemmed,
        "words without stop words": [[w for w in text if w not in stop] for text in plain],
        "stems without stop words": [
            [stem for stem, word in zip(*pair, strict=True) if word not in stop]
            for pair in zip(stemmed, plain, strict=True)
        ],
    }
    for count in (100, 400, 2000):
        for name, texts in ways.items():
            found = [_intent(plain, texts, labels, groups, count, seed) for seed in seeds]
            print(f"{count:>5} records, {name:<28}" + " ".join(f"{one:.3f}" for one in found))


def _intent(
    plain: Sequence[Sequence[str]],
    texts: Sequence[Sequence[str]],
    labels: npt.NDArray[Any],
    groups: npt.NDArray[Any],
    count: int,
    seed: int,
) -> float:
    """Trains on `count` records, and returns the accuracy on 3,000 of other groups."""
    from scipy import sparse
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(seed)
    order = random.permutation(np.unique(groups))
    rank = {group: place for place, group in enumerate(order)}
    rows = np.array(sorted(range(len(groups)), key=lambda row: rank[groups[row]]))
    tested = rows[:3000]
    rest = rows[3000:]
    trained = rest[~np.isin(groups[rest], groups[tested])][:count]
    blocks = []
    for source, settings in (
        (texts, {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"\S+"}),
        (plain, {"analyzer": "char", "ngram_range": (2, 4)}),
    ):
        vectors = TfidfVectorizer(sublinear_tf=True, lowercase=False, **settings)
        written = [" ".join(text) for text in source]
        learned = vectors.fit_transform([written[row] for row in trained])
        blocks.append((learned, vectors.transform([written[row] for row in tested])))
    learned, seen = (sparse.hstack(parts).tocsr() for parts in zip(*blocks, strict=True))
    model = LogisticRegression(C=10.0, max_iter=300).fit(learned, labels[trained])
    return float(model.score(seen, labels[tested]))


def _picture(width: int, height: int, seed: int = 0) -> Pixels:
    """Returns soft gradients, edges and noise, uint8 `[height, width, 3]`."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    planes = [
        120 + 90 * np.sin(columns / (40 + 13 * plane)) * np.cos(rows / (55 + 7 * plane))
        for plane in range(3)
    ]
    pixels = np.stack(planes, axis=-1)
    pixels[(rows // 97 + columns // 61) % 5 == 0] += 40
    return np.clip(pixels + random.integers(-12, 13, pixels.shape), 0, 255).astype(np.uint8)


def _target(pixels: Pixels) -> tuple[int, int]:
    height, width = pixels.shape[:2]
    scale = (KEEP / (width * height)) ** 0.5
    return int(width * scale), int(height * scale)


def _digest(method: str) -> str:
    import cv2

    pixels = _picture(1500, 1100)
    flags = {"area": cv2.INTER_AREA, "lanczos": cv2.INTER_LANCZOS4}[method]
    reduced = cv2.resize(pixels, (611, 449), interpolation=flags)
    return hashlib.sha256(reduced.tobytes()).hexdigest()


def _digest_of(method: str, disabled: str) -> str:
    """Returns the digest of a process in which OpenCV lacks some instruction sets."""
    command = [sys.executable, "-m", "benchmarks.libraries", "--digest", method]
    environment = {**os.environ, "OPENCV_CPU_DISABLE": disabled}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


def _compare(ways: Mapping[str, Callable[[], Any]], rounds: int) -> None:
    """Calls the ways in turn, and prints the median of each and its ratio to the first."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):  # the first round warms up
        for name, way in ways.items():
            begun = time.process_time()
            way()
            spent[name].append(time.process_time() - begun)
    medians = {name: statistics.median(times[1:]) for name, times in spent.items()}
    first = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"{name:<36}{1e3 * median:10.2f}{median / first:8.2f}")


def _of_processes(program: str, rounds: int) -> float:
    times = []
    for _ in range(rounds):
        before = os.times()
        subprocess.run([sys.executable, "-c", program], check=True)
        after = os.times()
        times.append(
            after.children_user
            - before.children_user
            + after.children_system
            - before.children_system
        )
    return statistics.median(times)


def _has(name: str) -> bool:
    found = importlib.util.find_spec(name) is not None
    if not found:
        print(f"{name} is not installed; its part is left out")
    return found


def _title(text: str) -> None:
    print(f"\n{text}", flush=True)


if __name__ == "__main__":
    main()
