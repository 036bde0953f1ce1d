"""Tables of characters against the function that they are built from."""

import unicodedata

import tensorflow as tf

from triad_ml.transforms.features.pieces import code_points


def outputs(code_point: int) -> code_points.Outputs:
    if code_point % 1000 == 7 and code_point < 0x40000:
        return ()
    if 0xD800 <= code_point < 0xE000:
        return ((1, code_point),)
    parts = unicodedata.normalize("NFKD", chr(code_point))
    return tuple((1 + ord(part) % 14, ord(part)) for part in parts)


def unassigned_alike(code_point: int) -> code_points.Outputs:
    return outputs(code_point) if code_point < 0x40000 else ((3, code_point),)


def test_a_table_has_the_outputs_of_its_function():
    table = code_points.build(unassigned_alike)
    sample = [*range(0, 0x3000), *range(0xAC00, 0xB000), *range(0xF900, 0x10000)]
    sample += [0x1D15E, 0x2F800, 0x3FFFF, 0x40000, 0xE0100, 0xF0000, 0x10FFFF]
    found = code_points.replaced(table, tf.constant(sample, tf.int32))
    expected = [
        (index, kind, other)
        for index, code_point in enumerate(sample)
        for kind, other in unassigned_alike(code_point)
    ]
    parts = (part.numpy().tolist() for part in found)
    assert list(zip(*parts, strict=True)) == expected
    firsts = code_points.first_kinds(table, tf.constant(sample, tf.int32)).numpy().tolist()
    kinds = [(*unassigned_alike(code_point), (0, 0))[0][0] for code_point in sample]
    assert firsts == kinds


def test_blocks_that_hold_the_same_are_stored_once():
    table = code_points.build(lambda code_point: ((1, code_point),))
    assert len(table.values) == 1
    assert len(table.entries) == 128
