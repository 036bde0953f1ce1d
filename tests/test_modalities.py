"""Modalities and fusions: only registries know their names, and no module compares these."""

import ast
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from triad_ml.model.fusion.registry import FUSIONS
from triad_ml.model.towers.registry import TOWERS
from triad_ml.pipelines.report.cards import records as record_cards
from triad_ml.pipelines.report.occlusion import OCCLUDERS, Saliency
from triad_ml.pipelines.report.previews import PREVIEWS
from triad_ml.transforms.duplicates.registry import FINGERPRINTS
from triad_ml.transforms.features.registry import FEATURES
from triad_ml.transforms.media.registry import MEDIA
from triad_ml.transforms.records.values import MODALITIES
from triad_ml.transforms.spec.model import Fusion, is_joint
from triad_ml.transforms.statistics.measures import MEASURES

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    path
    for part in ("transforms", "model", "pipelines", "triad_ml")  # links are not followed
    for path in (ROOT / part).rglob("*.py")
)

OWN = ("is_joint",)
"""Only function that may name a fusion."""

OTHER = {"model/evaluation/predict.py": ["kind == 'text'"]}
"""Names by file that equal the name of a modality, but mean something else."""


@pytest.mark.parametrize(
    "registry",
    [MEDIA, FEATURES, MEASURES, FINGERPRINTS, TOWERS, PREVIEWS, OCCLUDERS],
    ids=["media", "features", "measures", "fingerprints", "towers", "previews", "occluders"],
)
def test_each_registry_has_all_modalities_in_their_order(registry):
    assert tuple(registry) == MODALITIES


def test_the_registry_of_fusions_has_what_a_spec_can_name():
    assert tuple(FUSIONS) == typing.get_args(Fusion)
    assert {name: one.joint for name, one in FUSIONS.items()} == {
        name: is_joint(name) for name in FUSIONS
    }


def test_each_preview_is_a_field_of_a_card():
    fields = set(record_cards.Card.__dataclass_fields__)
    assert {one.field for one in PREVIEWS.values()} <= fields
    assert {"picture", "sound", "words"} <= set(Saliency.__dataclass_fields__)


def test_each_suffix_is_of_one_modality():
    suffixes = [suffix for kind in MEDIA.values() for suffix in kind.suffixes]
    assert len(suffixes) == len(set(suffixes)) > 25
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in suffixes)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_compares_the_name_of_a_modality_or_a_fusion(path):
    found = list(comparisons(ast.parse(path.read_text(encoding="utf-8"))))
    allowed = OTHER.get(str(path.relative_to(ROOT)), [])
    assert [one for one in found if one not in allowed] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("if name == 'image': pass", ["name == 'image'"]),
        ("x = 'audio' != name", ["'audio' != name"]),
        ("x = name in ('image', 'audio')", ["name in ('image', 'audio')"]),
        ("x = name not in {'text'}", ["name not in {'text'}"]),
        ("x = name in ['sound', 'text']", ["name in ['sound', 'text']"]),
        ("if spec.fusion == 'sum': pass", ["spec.fusion == 'sum'"]),
        ("match name:\n case 'image' | 'text': pass", ["case 'image' | 'text'"]),
        ("match name:\n case 'b': pass", []),
        ("x = name == 'classification'", []),
        ("x = names['image']", []),
        ("x = {'image': 1, 'audio': 2}", []),
        ("def is_joint(fusion):\n return fusion != 'sum'", []),
    ],
)
def test_a_comparison_is_found(source, found):
    assert list(comparisons(ast.parse(source))) == found


def comparisons(tree: ast.AST) -> Iterator[str]:
    """Yields the comparisons with the name of a modality or a fusion, as source text."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef) and node.name in OWN:
            continue
        if isinstance(node, ast.Compare) and any(_names(one) for one in _sides(node)):
            yield ast.unparse(node)
        if isinstance(node, ast.match_case) and any(
            isinstance(one, ast.MatchValue) and _names(one.value) for one in ast.walk(node.pattern)
        ):
            yield f"case {ast.unparse(node.pattern)}"
        yield from comparisons(node)


def _sides(node: ast.Compare) -> Iterator[ast.expr]:
    """Yields the operands that are a literal, or a literal collection after `in`."""
    equal = all(isinstance(one, ast.Eq | ast.NotEq) for one in node.ops)
    for one in (node.left, *node.comparators) if equal else node.comparators:
        yield from one.elts if isinstance(one, ast.Tuple | ast.List | ast.Set) else (one,)


def _names(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (*MODALITIES, *FUSIONS)
