"""Generated records: reproducible, marked as generated, and solvable only by several modalities."""

import collections
import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from examples import generated
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec import loading

EXAMPLES = Path(generated.__file__).parent


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def lines(records: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in records.read_text(encoding="utf-8").splitlines()]


def machine(kind: str = "fan", state: str = "faulty") -> generated.Machine:
    return generated.Machine(kind, state, colour="#c0392b", pitch=440.0)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generated.write(tmp_path_factory.mktemp("generated") / "out", records=120, seed=7)


def test_same_seed_gives_the_same_bytes(records, tmp_path):
    again = generated.write(tmp_path / "again", records=120, seed=7)
    assert files(again.parent) == files(records.parent)


def test_another_seed_gives_other_media(records, tmp_path):
    other = generated.write(tmp_path / "other", records=120, seed=8)
    assert lines(other) != lines(records)


def test_every_record_says_that_it_is_generated(records):
    for line in lines(records):
        assert line["id"].startswith("generated-")
        assert line["group"].startswith("generated-group-")
        assert line["source"] == "generated"


def test_ids_are_unique_and_as_many_as_asked_for(records):
    assert len({line["id"] for line in lines(records)}) == 120


def test_named_media_are_all_the_media_there_are_and_can_be_read(records):
    named = {line[m] for line in lines(records) for m in ("image", "audio") if line[m]}
    assert named == {name for name in files(records.parent) if name.startswith("media/")}
    formats = collections.Counter()
    for name in named:
        path = records.parent / name
        if path.suffix in (".wav", ".ogg", ".flac"):
            samples, rate = soundfile.read(path)
            assert len(samples) >= rate
            formats[soundfile.info(path).format] += 1
        else:
            with Image.open(path) as picture:
                picture.load()
                formats[picture.format] += 1
    assert set(formats) == {"PNG", "JPEG", "WEBP", "WAV", "OGG", "FLAC"}


def test_some_records_lack_one_modality_some_two_and_none_all(records):
    missing = collections.Counter(
        sum(line[m] is None for m in ("image", "audio", "text")) for line in lines(records)
    )
    assert set(missing) == {0, 1, 2}
    assert missing[0] > 60


def test_a_group_has_one_class_and_there_are_four_classes(records):
    classes = collections.defaultdict(set)
    for line in lines(records):
        classes[line["group"]].add(line["labels"]["category"])
    assert all(len(of_group) == 1 for of_group in classes.values())
    assert set().union(*classes.values()) == {
        f"{kind}_{state}"
        for kind, state in itertools.product(("fan", "pump"), ("faulty", "healthy"))
    }


@pytest.mark.parametrize("encoding", ["PNG", "JPEG", "WEBP"])
def test_a_picture_shows_the_machine_and_not_its_state(encoding):
    pictures = {
        (kind, state): generated.draw(machine(kind, state), np.random.default_rng(1), encoding)
        for kind, state in itertools.product(generated.MACHINES, generated.STATES)
    }
    assert pictures["fan", "faulty"] == pictures["fan", "healthy"]
    assert pictures["pump", "faulty"] == pictures["pump", "healthy"]
    assert pictures["fan", "faulty"] != pictures["pump", "faulty"]


@pytest.mark.parametrize(("container", "subtype"), [sound[1:] for sound in generated.SOUNDS])
def test_a_noise_tells_the_state_and_not_the_machine(container, subtype):
    noises = {
        (kind, state): generated.play(
            machine(kind, state), np.random.default_rng(1), container, subtype
        )
        for kind, state in itertools.product(generated.MACHINES, generated.STATES)
    }
    assert noises["fan", "faulty"] == noises["pump", "faulty"]
    assert noises["fan", "healthy"] == noises["pump", "healthy"]
    assert noises["fan", "faulty"] != noises["fan", "healthy"]


def test_an_ogg_with_its_serial_rewritten_decodes_to_the_same_samples():
    tone = np.sin(np.arange(16_000) / 7)
    buffer = io.BytesIO()
    soundfile.write(buffer, tone, 16_000, format="OGG", subtype="VORBIS")
    rewritten = generated._with_fixed_serial(buffer.getvalue())
    assert rewritten[14:18] == b"\x01\x00\x00\x00"
    expected, _ = soundfile.read(io.BytesIO(buffer.getvalue()))
    actual, rate = soundfile.read(io.BytesIO(rewritten))
    assert rate == 16_000
    np.testing.assert_array_equal(actual, expected)


def test_a_sentence_names_the_machine_or_its_state_and_never_both():
    named = collections.Counter()
    for seed in range(60):
        said = {
            (kind, state): generated.say(machine(kind, state), np.random.default_rng(seed))
            for kind, state in itertools.product(generated.MACHINES, generated.STATES)
        }
        if said["fan", "faulty"] == said["fan", "healthy"]:
            named["machine"] += 1
            assert said["pump", "faulty"] == said["pump", "healthy"] != said["fan", "faulty"]
        else:
            named["state"] += 1
            assert said["fan", "faulty"] == said["pump", "faulty"]
            assert said["fan", "healthy"] == said["pump", "healthy"]
    assert named["machine"] > 15
    assert named["state"] > 15


def test_a_finished_set_is_reused_and_not_written_again(tmp_path):
    path = generated.write(tmp_path / "out", records=3, seed=0)
    before = path.stat().st_mtime_ns
    assert generated.write(tmp_path / "out", records=3, seed=0) == path
    assert path.stat().st_mtime_ns == before


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "letter").write_text("dear", encoding="utf-8")
    with pytest.raises(OptionsError, match="choose another folder"):
        generated.write(tmp_path, records=3, seed=0)
    assert files(tmp_path) == {"letter": b"dear"}


@pytest.mark.parametrize(("records", "seed"), [(0, 0), (-1, 0), (1_000_001, 0), (3, -1)])
def test_numbers_out_of_range_are_refused_with_code_12(records, seed, tmp_path, capsys):
    arguments = ["--out", f"{tmp_path}/out", "--records", str(records), "--seed", str(seed)]
    assert generated.main(arguments) == 12
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(seed if seed < 0 else records) in error
    assert not (tmp_path / "out").exists()


def test_a_path_that_cannot_be_written_gives_one_line_and_code_20(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert generated.main(["--out", f"{tmp_path}/file/out", "--records", "2"]) == 20
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("name", ["generated.yaml", "stamps.yaml"])
def test_specs_of_the_examples_are_valid_and_learn_the_category(name):
    assert loading.load(EXAMPLES / name).label_names == ("category",)


@pytest.mark.parametrize(
    ("name", "weights"),
    [("transfer.yaml", "lite0.weights.h5"), ("pretrained.yaml", "../demo/lite0.weights.h5")],
)
def test_examples_with_an_encoder_are_valid_and_name_its_weights(name, weights):
    checked = loading.parse((EXAMPLES / name).read_text(encoding="utf-8"))
    assert checked.label_names == ("category",)
    assert checked.model.image_weights == weights
    assert checked.model.encodes_first
