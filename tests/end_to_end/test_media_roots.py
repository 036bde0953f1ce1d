"""Media that lie below a `--media-root` alone are found by each command that reads media."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import RECORDS
from triad_ml.pipelines.cli import main


def test_each_command_finds_media_below_a_root(
    generated: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "in" / generated.name
    alone.parent.mkdir()
    shutil.copy(generated, alone)
    scores, sink = tmp_path / "scores", tmp_path / "sink"
    spec = ["--spec", str(generated.parents[1] / "spec.yaml")]
    model, read = ["--model", str(trained)], ["--input", str(alone)]
    for argv in (
        ["preprocess", *spec, *read, "--output", str(tmp_path / "data")],
        ["score", *model, *read, "--output", str(scores), "--date", "2026-11-24"],
        ["parity", *model, *read, "--limit", str(RECORDS)],
        ["doctor", "--json", *spec, *read],
        ["stream", *model, "--source", str(alone.parent), "--sink", str(sink), "--until-empty"],
    ):
        code = main.main([*argv, "--media-root", str(generated.parent)])
        shown = capsys.readouterr()
        said = f"{shown.out}{shown.err}"
        if argv[0] != "doctor":  # it looks at the installed code too
            assert code == 0, said
        assert "not_found" not in said, argv
        if argv[0] != "stream":
            assert "image: all " in said, argv
    (streamed,) = sink.rglob("*.parquet")
    found = pq.ParquetFile(streamed).read()
    assert len(found) == RECORDS
    assert found.column("issues").to_pylist() == [[]] * RECORDS
