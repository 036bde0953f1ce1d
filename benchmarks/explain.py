"""Benchmark of explanations: CPU time of the signature `explain` against that of serving.

    python -m benchmarks.explain --model MODEL --input 'records/*.jsonl' [--rounds 7]

Both signatures are called in turn with each batch, as the scorer calls them. The measure is CPU
time, because a nightly run is bound by it, and other processes affect it least.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence


def main() -> None:
    """Runs the measurement, and prints a readable line and one of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", required=True)
    parser.add_argument("--input", action="append", required=True)
    parser.add_argument("--records", type=int, default=480)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    from triad_ml.pipelines.runtime import environment

    environment.prepare()
    environment.load_tensorflow()
    _measure(arguments.model, arguments.input, arguments.records, arguments.rounds)


def _measure(model: str, inputs: Sequence[str], most: int, rounds: int) -> None:
    import numpy as np

    from triad_ml.model.serving import bundle, shapley
    from triad_ml.model.serving.scorer import Scorer
    from triad_ml.pipelines.sources import read, units
    from triad_ml.transforms.media.canonicalize import Canonicalizer
    from triad_ml.transforms.records.values import CanonicalRecord, RawRecord

    loaded = bundle.load(model)
    canonicalizer = Canonicalizer(loaded.spec, (), check=False)
    records: list[CanonicalRecord] = []
    for unit in units.plan(units.list_inputs(inputs)):
        for raw in read.read(unit, loaded.spec.label_names):
            record = canonicalizer.canonical(raw) if isinstance(raw, RawRecord) else None
            if isinstance(record, CanonicalRecord) and len(records) < most:
                records.append(record)
    size = loaded.batch_size
    batches = [records[i : i + size] for i in range(0, len(records), size)]
    scorers = {"serve": Scorer(loaded), "explain": Scorer(loaded, explain=True)}
    worst = 0.0
    for scorer in scorers.values():
        outputs = scorer.outputs(batches[0])
    for task in shapley.explained(loaded.spec):
        shares = outputs[f"{task}/shares"].astype(np.float64)
        total = outputs[f"{task}/baseline"] + shares.sum(axis=1)
        worst = max(worst, float(abs(total - outputs[f"{task}/score"]).max()))
    ratios, costs = [], []
    for _ in range(rounds):
        taken = dict.fromkeys(scorers, 0.0)
        for batch in batches:
            for name, scorer in scorers.items():
                begun = time.process_time()
                scorer.outputs(batch)
                taken[name] += time.process_time() - begun
        ratios.append(taken["explain"] / taken["serve"])
        costs.append(1000 * taken["serve"] / len(records))
    ratio, cost = statistics.median(ratios), statistics.median(costs)
    print(
        f"{len(records)} records, medians of {rounds} rounds: serving {cost:.2f} CPU-ms a record, "
        f"explaining {100 * (ratio - 1):+.1f} % ({100 * (min(ratios) - 1):+.1f} to "
        f"{100 * (max(ratios) - 1):+.1f}); sums within {worst:.1e}"
    )
    print(json.dumps({"records": len(records), "serve_ms": cost, "ratios": ratios, "sum": worst}))


if __name__ == "__main__":
    main()
