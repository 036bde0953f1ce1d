"""Canonicalization of records: broken media are left out and reported, and no record is lost."""

import collections
import hashlib

import apache_beam as beam
import numpy as np
import pytest
from apache_beam import window
from apache_beam.testing.util import assert_that, equal_to

from tests import capabilities, media
from triad_ml.pipelines.runners import beam_options, results
from triad_ml.transforms.media import audio
from triad_ml.transforms.media.canonicalize import HELD_BYTES, Canonicalize, Canonicalizer
from triad_ml.transforms.records.digests import payload_digest
from triad_ml.transforms.records.values import (
    BrokenMedium,
    CanonicalRecord,
    Position,
    RawRecord,
    Reason,
    Rejected,
    Uri,
)
from triad_ml.transforms.spec import loading

SPEC = loading.parse(
    """
modalities:
  image: {size: 16}
  audio: {sample_rate: 8000, seconds: 0.2, mel_bins: 8}
  text: {tokens: word, vocabulary: 10, length: 4}
tasks:
  kind: {kind: classification, label: what}
limits: {media_bytes: 400000, text_bytes: 200}
"""
)
PLACE = Position("records.jsonl", 12, 3)
PICTURE = media.png(seed=1)
SOUND = audio.header(8000, 1000) + np.arange(1000, dtype="<i2").tobytes()
TEXT = b"a word, and another"
WHOLE = {"image": PICTURE, "audio": SOUND, "text": TEXT}
BROKEN = {"image": media.jpeg()[:300], "audio": SOUND[:-10], "text": b"a\xff"}
ISSUES = {"image": "image: truncated", "audio": "audio: truncated", "text": "text: not_utf8"}
CANONICALIZER = Canonicalizer(SPEC)


def bad_checksum() -> bytes:
    """A PNG of whole structure that its decoder refuses."""
    at = PICTURE.index(b"IDAT") + 20
    return PICTURE[:at] + bytes([PICTURE[at] ^ 1]) + PICTURE[at + 1 :]


def raw(name="r", **fields) -> RawRecord:
    return RawRecord(name, PLACE, **fields)


def canonical(**fields) -> CanonicalRecord | Rejected:
    return CANONICALIZER.canonical(raw(**fields))


def test_a_whole_record_keeps_its_media_byte_for_byte_and_everything_beside_them():
    beside = {
        "group": "g",
        "split": "eval",
        "labels": {"what": "cat", "other": 1},
        "extra": {"source": "shelf"},
    }
    assert canonical(**WHOLE, **beside) == CanonicalRecord("r", PLACE, **WHOLE, **beside)


def test_media_of_other_formats_become_canonical():
    record = canonical(image=media.webp(), audio=media.flac(8000, 0.1), text=b"e\xcc\x81\0")
    np.testing.assert_array_equal(media.decoded(record.image), media.decoded(media.webp()))
    expected = np.round(media.wave(8000, 0.1)[:, 0] * 2**15)
    assert np.abs(audio.samples(record.audio) - expected).max() <= 1
    assert record.text == "é".encode()
    assert record.issues == ()


@pytest.mark.parametrize("broken", ["image", "audio", "text"])
def test_a_broken_medium_costs_that_medium_alone(broken):
    record = canonical(**{**WHOLE, broken: BROKEN[broken]})
    kept = {**WHOLE, broken: b""}
    assert record == CanonicalRecord("r", PLACE, **kept, issues=(ISSUES[broken],))


@pytest.mark.parametrize("left", ["image", "audio", "text"])
def test_issues_are_in_the_order_of_the_modalities(left):
    record = canonical(**{**BROKEN, left: WHOLE[left]})
    issues = tuple(issue for name, issue in ISSUES.items() if name != left)
    assert record == CanonicalRecord("r", PLACE, issues=issues, **{left: WHOLE[left]})


def test_a_record_of_which_no_medium_is_left_is_rejected_as_unreadable():
    assert canonical(**BROKEN, labels={"what": "cat"}) == Rejected(
        "r",
        PLACE,
        stage="canonicalize",
        reason=Reason.UNREADABLE,
        detail="image: truncated; audio: truncated; text: not_utf8",
        payload_digest=payload_digest(raw(**BROKEN)),
    )


@pytest.mark.parametrize("media_given", [{}, {"image": b"", "audio": None, "text": b""}])
def test_a_record_without_any_medium_is_rejected_as_empty(media_given):
    nothing = hashlib.sha256(
        b"".join(b"%s 0\n" % name.encode() for name, given in media_given.items() if given == b"")
    ).hexdigest()
    assert canonical(**media_given) == Rejected(
        "r", PLACE, stage="canonicalize", reason=Reason.EMPTY, payload_digest=nothing
    )


def test_a_missing_medium_is_no_issue():
    assert canonical(image=b"", text=TEXT) == CanonicalRecord("r", PLACE, text=TEXT)


def test_a_modality_that_the_spec_does_not_name_is_not_looked_at():
    canonicalizer = Canonicalizer(
        loading.parse("{modalities: {text: }, tasks: {a: {kind: classification, label: a}}}")
    )
    record = canonicalizer.canonical(raw(image=BROKEN["image"], audio=SOUND, text=TEXT))
    assert record == CanonicalRecord("r", PLACE, text=TEXT)
    rejected = canonicalizer.canonical(raw(image=PICTURE))
    assert (rejected.reason, rejected.detail) == (Reason.EMPTY, "")


def test_a_medium_that_its_source_could_not_give_is_corrupt():
    record = canonical(image=BrokenMedium("bad base64"), audio=BrokenMedium("x"), text=TEXT)
    issues = ("image: corrupt", "audio: corrupt")
    assert record == CanonicalRecord("r", PLACE, text=TEXT, issues=issues)
    rejected = canonical(text=BrokenMedium("bad base64"))
    assert (rejected.reason, rejected.detail) == (Reason.UNREADABLE, "text: corrupt")


@pytest.mark.parametrize(
    ("fields", "issues"),
    [
        ({"text": b"\0\x07"}, ("text: empty",)),
        ({"text": b"a" * 201}, ("text: too_large",)),
        ({"audio": b"\0" * 400_001}, ("audio: too_large",)),
        ({"audio": b"no sound"}, ("audio: unsupported",)),
        ({"audio": audio.header(8000, 0)}, ("audio: empty",)),
        ({"image": b"no picture"}, ("image: unsupported",)),
    ],
)
def test_other_flaws_are_named(fields, issues):
    record = canonical(**{"image": PICTURE, "audio": SOUND, **fields})
    assert record.issues == issues


def test_a_picture_that_only_its_decoder_refuses_is_found_where_that_is_asked_for():
    record = raw(image=bad_checksum(), text=TEXT)
    trusting = Canonicalizer(SPEC, check=False)
    assert trusting.canonical(record) == CanonicalRecord(
        "r", PLACE, image=bad_checksum(), text=TEXT
    )
    checking = Canonicalizer(SPEC, check=True)
    assert checking.canonical(record) == CanonicalRecord(
        "r", PLACE, text=TEXT, issues=("image: corrupt",)
    )


@pytest.fixture
def folder(tmp_path):
    """A folder of records with media beside it, and another folder."""
    for name, content in {
        "records/a.png": PICTURE,
        "records/media/a.wav": SOUND,
        "records/a.txt": TEXT,
        "records/none.png": b"",
        "records/long.txt": b"a" * 201,
        "elsewhere/a.png": PICTURE,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_uris_are_relative_to_the_records_file(folder):
    place = Position(str(folder / "records" / "records.jsonl"), 0)
    uris = {"image": Uri("a.png"), "audio": Uri("media/a.wav"), "text": Uri("a.txt")}
    record = CANONICALIZER.canonical(RawRecord("r", place, **uris))
    assert record == CanonicalRecord("r", place, **WHOLE)


def test_uris_that_give_nothing_are_issues(folder):
    place = Position(str(folder / "records" / "records.jsonl"), 0)
    found = [
        CANONICALIZER.canonical(RawRecord("r", place, audio=SOUND, **{name: Uri(uri)})).issues
        for name, uri in [
            ("image", "gone.png"),
            ("image", "none.png"),
            ("image", "https://example.org/a.png"),
            ("image", "../elsewhere/a.png"),
            ("text", "long.txt"),
        ]
    ]
    assert found == [
        ("image: not_found",),
        ("image: empty",),
        ("image: forbidden",),
        ("image: forbidden",),
        ("text: too_large",),
    ]


def test_uris_may_lead_to_a_further_root(folder):
    place = Position(str(folder / "records" / "records.jsonl"), 0)
    canonicalizer = Canonicalizer(SPEC, media_roots=(str(folder / "elsewhere"),))
    for uri in (str(folder / "elsewhere" / "a.png"), (folder / "elsewhere" / "a.png").as_uri()):
        record = RawRecord("r", place, image=Uri(uri))
        assert canonicalizer.canonical(record) == CanonicalRecord("r", place, image=PICTURE)


def test_relative_uris_are_looked_for_in_further_roots(folder):
    place = Position(str(folder / "records" / "records.jsonl"), 0)
    record = RawRecord("r", place, image=Uri("sub/only.png"))
    (folder / "empty").mkdir()
    (folder / "elsewhere" / "sub").mkdir()
    (folder / "elsewhere" / "sub" / "only.png").write_bytes(PICTURE)
    roots = (str(folder / "empty"), str(folder / "elsewhere"))
    found = Canonicalizer(SPEC, media_roots=roots).canonical(record)
    assert found == CanonicalRecord("r", place, image=PICTURE)


def test_a_medium_that_this_user_may_not_read_costs_that_medium(folder):
    place = Position(str(folder / "records" / "records.jsonl"), 0)
    (folder / "records" / "shut.png").write_bytes(PICTURE)
    (folder / "records" / "shut.png").chmod(0)
    with capabilities.permissions_hold():
        record = RawRecord("r", place, audio=SOUND, image=Uri("shut.png"))
        assert CANONICALIZER.canonical(record).issues == ("image: forbidden",)


def test_records_of_a_watched_folder_have_their_media_below_it(folder):
    (folder / "records" / "sub").symlink_to(folder / "elsewhere")
    place = Position(str(folder / "records" / "sub" / "records.jsonl"), 0)
    record = RawRecord("r", place, audio=SOUND, image=Uri("a.png"))
    watched = str(folder / "records")
    assert CANONICALIZER.canonical(record).issues == ()
    assert Canonicalizer(SPEC, watched=watched).canonical(record).issues == ("image: forbidden",)


def test_the_payload_digest_covers_each_medium_as_the_source_gave_it():
    payload = b"image 3\nabc" + b"audio 5\na.wav" + b"text 2\n\xc3\xa9"
    record = raw(image=b"abc", audio=Uri("a.wav"), text="é".encode())
    assert payload_digest(record) == hashlib.sha256(payload).hexdigest()
    assert payload_digest(raw(image=b"abc")) != payload_digest(raw(audio=b"abc"))
    assert payload_digest(raw(image=Uri("\udcff"))) != payload_digest(raw(image=Uri("a")))
    assert payload_digest(raw(image=BrokenMedium("x"))) == hashlib.sha256().hexdigest()


def many(count: int) -> list[RawRecord]:
    """Slow records first, then fast ones, with and without flaws, some rejected."""
    large = media.webp(300, 300)
    records = [RawRecord(f"slow-{place}", PLACE, image=large) for place in range(4)]
    for place in range(count - len(records)):
        fields = [
            {"text": b"text %d" % place},
            WHOLE,
            {**WHOLE, "image": BROKEN["image"]},
            {**WHOLE, "image": bad_checksum(), "audio": BROKEN["audio"]},
            {},
            BROKEN,
            {"audio": SOUND},
        ][place % 7]
        records.append(RawRecord(f"r-{place}", Position("records.jsonl", place), **fields))
    return records


@pytest.mark.parametrize("held_bytes", [0, 2_000, HELD_BYTES])
def test_200_records_on_threads_give_what_one_after_the_other_gives_in_their_order(held_bytes):
    records = many(200)
    expected = [CANONICALIZER.canonical(record) for record in records]
    kept = [one for one in expected if isinstance(one, CanonicalRecord)]
    rejected = [one for one in expected if isinstance(one, Rejected)]
    assert len(kept) == 144
    assert len(rejected) == 56
    with beam.Pipeline(options=beam_options.beam_options()) as root:
        canonicalize = Canonicalize(CANONICALIZER, held_bytes)
        outputs = root | beam.Create(records, reshuffle=False) | canonicalize
        as_lists = [
            values | f"{name}List" >> beam.combiners.ToList()
            for name, values in outputs._asdict().items()
        ]
        assert_that(as_lists[0], equal_to([kept]), label="Records")
        assert_that(as_lists[1], equal_to([rejected]), label="Rejected")


def test_counters_add_up_to_what_came_in():
    records = many(200)
    root = beam.Pipeline(options=beam_options.beam_options())
    _ = root | beam.Create(records, reshuffle=False) | Canonicalize(CANONICALIZER)
    result = root.run()
    result.wait_until_finish()
    counted = {
        name.removeprefix("Canonicalize."): count
        for name, count in results.counters(result).items()
        if name.startswith("Canonicalize.")
    }
    expected = collections.Counter(records_in=200)
    for outcome in map(CANONICALIZER.canonical, records):
        if isinstance(outcome, Rejected):
            expected.update(["records_rejected", f"rejected_{outcome.reason}"])
            issues = outcome.detail.split("; ") if outcome.detail else []
        else:
            expected.update(["records_canonical", *(f"{name}_used" for name in outcome.present)])
            issues = outcome.issues
        for issue in issues:
            name, flaw = issue.split(": ")
            expected.update([f"{name}_flawed", f"{name}_{flaw}"])
    assert counted == dict(expected)
    assert counted["records_in"] == counted["records_canonical"] + counted["records_rejected"]
    assert counted == {
        "records_in": 200,
        "records_canonical": 144,
        "records_rejected": 56,
        "rejected_empty": 28,
        "rejected_unreadable": 28,
        "image_used": 32,
        "audio_used": 84,
        "text_used": 112,
        "image_flawed": 84,
        "image_truncated": 56,
        "image_corrupt": 28,
        "audio_flawed": 56,
        "audio_truncated": 56,
        "text_flawed": 28,
        "text_not_utf8": 28,
    }


class WithPlace(beam.DoFn):
    """Gives the id of an element with its timestamp and the start of its window."""

    def process(self, element, timestamp=beam.DoFn.TimestampParam, window=beam.DoFn.WindowParam):
        yield element.id, float(timestamp), float(window.start)


@pytest.mark.parametrize(
    ("windows", "starts"),
    [(window.FixedWindows(10), (0,)), (window.SlidingWindows(10, 5), (-5, 0))],
)
def test_elements_keep_their_timestamps_and_windows(windows, starts):
    offset = 10.0  # seconds from one element to the next: each is in windows of its own
    records = [raw(f"r-{place}", **([WHOLE, BROKEN, {}][place % 3])) for place in range(90)]
    expected = collections.defaultdict(list)
    for place, record in enumerate(records):
        kind = "records" if place % 3 == 0 else "rejected"
        for start in starts:
            expected[kind].append((record.id, offset * place + 2, offset * place + start))
    with beam.Pipeline(options=beam_options.beam_options()) as root:
        outputs = (
            root
            | beam.Create(list(enumerate(records)), reshuffle=False)
            | beam.MapTuple(lambda place, one: window.TimestampedValue(one, offset * place + 2))
            | beam.WindowInto(windows)
            | Canonicalize(CANONICALIZER)
        )
        for name, values in outputs._asdict().items():
            assert_that(
                values | f"{name}Places" >> beam.ParDo(WithPlace()) | f"{name}" >> _globally(),
                equal_to(expected[name]),
                label=name.title(),
            )


def _globally() -> beam.PTransform:
    return beam.WindowInto(window.GlobalWindows())


def test_an_error_that_is_not_the_records_fault_fails_the_bundle():
    wrong = raw(text="a source that gives no bytes")
    with pytest.raises(TypeError):
        CANONICALIZER.canonical(wrong)
    root = beam.Pipeline(options=beam_options.beam_options())
    _ = root | beam.Create([raw(text=TEXT), wrong]) | Canonicalize(CANONICALIZER)
    with pytest.raises(TypeError, match="while running .Canonicalize"):
        root.run().wait_until_finish()
