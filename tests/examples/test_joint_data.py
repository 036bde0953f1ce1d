"""Readers of the joint benchmark's data sets, on synthetic lines in their formats."""

import gzip
import io
import json
import tarfile
import zipfile

from benchmarks import joint_data


def write_lines(path, rows):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def test_media_of_stamps_become_whole_paths(tmp_path):
    row = {"id": "a", "image": "media/a.png", "audio": None, "labels": {"category": "x", "y": 1}}
    (found,) = joint_data.stamps(write_lines(tmp_path / "records.jsonl", [row]))
    assert found["image"] == str(tmp_path / "media" / "a.png")
    assert found["audio"] is None
    assert found["labels"] == {"category": "x"}


def test_a_sentence_is_one_record_for_each_of_its_predicates(tmp_path):
    srl = [{"predicate": 1, "tags": ["B-A", "B-V"]}, {"predicate": 0, "tags": ["B-V", "O"]}]
    labels = {"tokens": ["we", "go"], "srl": srl}
    rows = [
        {"id": "s", "text": "we go", "group": "g", "labels": labels},
        {"id": "t", "text": "no", "group": "g", "labels": {"tokens": ["no"]}},
    ]
    found = list(joint_data.roles(write_lines(tmp_path / "records.jsonl.gz", rows)))
    assert [(one["id"], one["group"]) for one in found] == [("s#0", "g"), ("s#1", "g")]
    assert found[1]["labels"] == {"tokens": ["we", "go"], "roles": ["B-V", "O"], "at": 0}


def test_rated_sentences_become_three_classes_in_groups_of_one_review(tmp_path):
    lines = "1_1\t2.5\tgood\n1_2\t-0.5\tso so\n2_1\t-1.2\tbad\n"
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as files:
        for name in ("movieReviewSnippets_GroundTruth.txt", "tweets_GroundTruth.txt"):
            member = tarfile.TarInfo(f"folder/{name}")
            member.size = len(lines)
            files.addfile(member, io.BytesIO(lines.encode()))
    with zipfile.ZipFile(tmp_path / "source.zip", "w") as archive:
        archive.writestr("source/more/hutto_ICWSM_2014.tar.gz", inner.getvalue())
    found = list(joint_data.sentiment(tmp_path / "source.zip"))
    assert [(one["text"], one["labels"]["sentiment"]) for one in found] == [
        ("good", "positive"),
        ("so so", "neutral"),
        ("bad", "negative"),
    ]
    assert found[0]["group"] == found[1]["group"] != found[2]["group"]
    assert len({one["id"] for one in found}) == 3


def test_whole_groups_are_written_until_there_are_enough(tmp_path):
    rows = [{"id": f"{place}", "group": f"g{place // 3}"} for place in range(30)]
    written = joint_data.write("snips", rows, tmp_path / "a.jsonl", limit=10)
    again = joint_data.write("snips", reversed(rows), tmp_path / "b.jsonl", limit=10)
    found = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert written == again == len(found) == 12
    assert {one["dataset"] for one in found} == {"snips"}
    groups = [one["group"] for one in found]
    assert all(groups.count(group) == 3 for group in groups)
