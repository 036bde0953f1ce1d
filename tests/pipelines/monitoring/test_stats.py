"""`triad stats` and `triad drift`: tables, JSON, the page, the proto, and refusals."""

import html.parser
import json
import re
from pathlib import Path

import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from tests import nights, scores
from tests.scores import Work
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.transforms.statistics import document

USUAL = {"fan": 120, "motor": 90, "pump": 60, "valve": 30}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Returns folders with statistics: of a usual night, of the next one, and of a grey one."""
    whole = tmp_path_factory.mktemp("nights")
    contents = {
        "usual": nights.content(nights.measured(200, seed=1), USUAL),
        "next": nights.content(nights.measured(200, seed=2), {**USUAL, "<b>": 1}),
        "grey": nights.content(nights.measured(200, seed=3, grey=True), USUAL),
    }
    for name, content in contents.items():
        (whole / name).mkdir()
        (whole / name / document.NAME).write_bytes(content)
    return {name: str(whole / name) for name in contents}


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_the_table_has_a_row_for_each_feature(folders, capsys):
    assert main.main(["stats", folders["usual"]]) == 0
    shown = capsys.readouterr().out
    assert f"{folders['usual']} (all): 200 records, 200 sampled" in " ".join(shown.split())
    part = document.parse(Path(folders["usual"], document.NAME).read_bytes(), "").splits["all"]
    for feature in (*part.numeric, *part.categorical):
        assert re.search(rf"│ {re.escape(feature)}\b", shown)
    assert "fan 40.0%, motor 30.0%, pump 20.0%, 1 more (n 300)" in shown


def test_two_statistics_stand_side_by_side_with_their_distance(folders, capsys):
    assert main.main(["stats", folders["usual"], folders["grey"]]) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if "image.channels" in x]
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells[:3] == ["image.channels", "colour 100.0% (n 200)", "grey 100.0% (n 200)"]
    assert float(cells[3]) > 0.7


def test_json_has_whole_statistics_and_distances(folders, capsys):
    assert main.main(["stats", folders["usual"], folders["next"], "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    whole = json.loads(line)
    first = json.loads(Path(folders["usual"], document.NAME).read_bytes())
    assert whole["statistics"][0] == {"name": folders["usual"], **first}
    beyond = {one["feature"]: one["beyond"] for one in whole["distances"]}
    assert beyond["image.brightness"] == 0
    assert len(beyond) == len(first["splits"]["all"]["numeric"]) + 5


class Page(html.parser.HTMLParser):
    """Elements of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_the_page_is_one_file_without_requests_that_a_keyboard_reaches(folders, tmp_path):
    path = tmp_path / "stats.html"
    argv = ["stats", folders["usual"], folders["next"], "--output", str(path)]
    assert main.main(argv) == 0
    text = path.read_text()
    page = Page(text)
    assert not [tag for tag, _ in page.found if tag in ("script", "iframe", "img", "object")]
    assert [one["href"] for one in page.all("link")] == ["data:,"]
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text
    scrolled = [one for one in page.all("div") if one.get("class") == "box"]
    assert scrolled
    assert all(one["tabindex"] == "0" and one["aria-label"] for one in scrolled)
    groups = [str(one["href"]).removeprefix("#") for one in page.all("a")]
    assert (
        groups == [one["id"] for one in page.all("section")] == ["audio", "image", "score", "text"]
    )
    assert all(one["aria-label"] for one in page.all("svg"))
    assert "<b>" not in text
    assert "&lt;b&gt;" in text
    assert main.main(argv) == 0  # The page may be written again.


def test_bars_are_the_shares_of_each_side(folders, tmp_path):
    path = tmp_path / "stats.html"
    main.main(["stats", folders["usual"], folders["grey"], "--output", str(path)])
    figure = path.read_text().partition("<h3>image.saturation</h3>")[2].partition("</figure>")[0]
    grey = [one for one in Page(figure).all("rect") if one["class"] == "s1"]
    assert [one["height"] for one in grey] == ["96.00"]  # All values are in one bin.
    colour = [one for one in Page(figure).all("rect") if one["class"] == "s0"]
    part = document.parse(Path(folders["usual"], document.NAME).read_bytes(), "").splits["all"]
    saturation = part.numeric["image.saturation"]
    shares = [count / saturation.count for count in saturation.counts if count]
    assert [one["height"] for one in colour] == [f"{96 * share:.2f}" for share in shares]


def test_a_page_of_something_else_is_not_replaced(folders, tmp_path, capsys):
    path = tmp_path / "index.html"
    path.write_text("mine")
    assert main.main(["stats", folders["usual"], "--output", str(path)]) == 12
    assert "page of triad stats" in error_of(capsys)
    assert path.read_text() == "mine"


def test_the_proto_has_the_same_figures(folders, tmp_path):
    path = tmp_path / "stats.pb"
    assert main.main(["stats", folders["usual"], folders["grey"], "--tfmd", str(path)]) == 0
    whole = statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())
    assert [one.name for one in whole.datasets] == [f"{folders[n]} all" for n in ("usual", "grey")]
    part = document.parse(Path(folders["usual"], document.NAME).read_bytes(), "").splits["all"]
    features = {one.path.step[0]: one for one in whole.datasets[0].features}
    assert features.keys() == {*part.numeric, *part.categorical}
    assert whole.datasets[0].num_examples == part.records
    for name, histogram in part.numeric.items():
        numbers = features[name].num_stats
        assert (numbers.mean, numbers.std_dev) == (histogram.mean, histogram.std)
        assert (numbers.min, numbers.max) == (histogram.min, histogram.max)
        assert numbers.common_stats.tot_num_values == histogram.count
        buckets = numbers.histograms[0].buckets
        assert tuple(one.sample_count for one in buckets) == histogram.counts
        edges = [one.low_value for one in buckets] + [buckets[-1].high_value]
        assert edges == sorted(edges)
        assert tuple(edges[1:-1]) == histogram.edges
    for name, shares in part.categorical.items():
        texts = features[name].string_stats
        assert {one.value: one.frequency for one in texts.top_values} == shares.counts
        assert texts.unique == shares.distinct
        assert texts.common_stats.tot_num_values == shares.total


def test_a_file_without_statistics_is_not_replaced_by_the_proto(folders, tmp_path, capsys):
    path = tmp_path / "stats.pb"
    argv = ["stats", folders["usual"], "--tfmd", str(path)]
    for content in (b"mine", b"\x08\x01"):
        path.write_bytes(content)
        assert main.main(argv) == 12
        assert "holds no statistics of TensorFlow Metadata" in error_of(capsys)
        assert path.read_bytes() == content
    path.unlink()
    assert main.main(argv) == main.main(argv) == 0


def test_drift_exits_with_10_and_names_the_features(folders, capsys):
    assert main.main(["drift", folders["usual"], folders["next"]]) == 0
    assert "0 of " in capsys.readouterr().out
    assert main.main(["drift", folders["usual"], folders["grey"]]) == 10
    shown = capsys.readouterr().out
    assert re.search(r"image.channels (colour|grey) ", shown)
    assert main.main(["drift", folders["usual"], folders["grey"], "--json"]) == 10
    whole = json.loads(capsys.readouterr().out)
    drifted = {one["feature"] for one in whole["drifts"]}
    assert drifted == {"image.bytes", "image.channels", "image.saturation"}


def test_limits_are_those_of_the_prepared_data_or_of_the_named_spec(folders, tmp_path, capsys):
    spec = {
        "modalities": {"text": {}},
        "tasks": {"t": {"kind": "classification", "label": "l"}},
        "drift": {"limits": {"image": 1.0}},
    }
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    (prepared / document.NAME).write_bytes(Path(folders["usual"], document.NAME).read_bytes())
    (prepared / "manifest.json").write_text(json.dumps({"spec": spec}))
    assert main.main(["drift", str(prepared), folders["grey"]]) == 0
    file = tmp_path / "spec.yaml"
    file.write_text(json.dumps({**spec, "drift": {"limit": 0.5}}))
    assert main.main(["drift", str(prepared), folders["grey"], "--spec", str(file)]) == 10
    (prepared / "manifest.json").write_text("[")
    capsys.readouterr()
    assert main.main(["drift", str(prepared), folders["grey"]]) == 12
    assert "manifest.json: is damaged" in error_of(capsys)


def test_statistics_of_published_scores_are_found_by_date(tmp_path, capsys):
    run = scores.run_folder(tmp_path / "scores")
    scores.score(run, [Work([scores.scored("a"), scores.scored("b", 1)])])
    for argv in (
        [str(tmp_path / "scores")],
        [str(tmp_path / "scores"), "--date", scores.DATE],
        [f"{tmp_path}/scores/dt={scores.DATE}/"],
        [run.folder],
    ):
        assert main.main(["stats", *argv, "--json"]) == 0
        (one,) = json.loads(capsys.readouterr().out)["statistics"]
        assert one["splits"]["all"]["records"] == 2
    argv = ["stats", f"{tmp_path}/scores/dt={scores.DATE}", "--date", "2026-01-01"]
    assert main.main(argv) == 12
    assert error_of(capsys).endswith("is not the date of " + argv[1] + "; leave --date out")


def damaged(run: RunFolder) -> None:
    Path(run.statistics).write_bytes(b"{}")


def of_an_earlier_version(run: RunFolder) -> None:
    manifest = json.loads(Path(run.manifest).read_bytes())
    del manifest["statistics"], manifest["digest"]
    Path(run.manifest).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "code", "line"),
    [
        (damaged, 20, "is missing or is not what the run wrote; make it anew"),
        (of_an_earlier_version, 12, "the run has no statistics, as it is of an earlier version"),
    ],
)
def test_a_run_without_usable_statistics_is_refused_in_one_line(
    tmp_path, capsys, change, code, line
):
    run = scores.run_folder(tmp_path)
    scores.score(run, [Work([scores.scored("a")])])
    change(run)
    assert main.main(["stats", str(tmp_path)]) == code
    assert line in error_of(capsys)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'[{"splits": {}, "media": {}}]', "has the form of an earlier version, and this version"),
        (b'{"form": 9}', "has the form 9, and this version reads form 1; make it anew"),
        (b"{", "is damaged; make it anew: triad preprocess or triad score with a new --output"),
        (b'{"form": 1}', "version is not what Triad writes"),
        (nights.content([]), "the statistics are of no record; name other records"),
    ],
)
def test_statistics_of_another_form_are_refused_in_one_line(tmp_path, capsys, content, line):
    (tmp_path / document.NAME).write_bytes(content)
    for command in (["stats"], ["drift", str(tmp_path)]):
        assert main.main([*command, str(tmp_path)]) == 12
        assert line in error_of(capsys)


def test_a_folder_without_statistics_is_refused(tmp_path, capsys):
    assert main.main(["stats", str(tmp_path)]) == 12
    assert error_of(capsys).endswith(
        "has no statistics.json; name the --output of triad preprocess or triad score of this "
        "version"
    )
