"""Drawing of a record's path, docs/pictures/way.svg: `python docs/_site/way.py` writes it."""

from pathlib import Path

TARGET = Path(__file__).resolve().parents[1] / "pictures" / "way.svg"
WIDTH, HEIGHT = 860, 372

BOXES = {
    "records": (20, 20, 190, 56, "Records files, topics", "image, audio, text, labels"),
    "canonical": (270, 20, 190, 56, "Canonicalize", "one form for every medium"),
    "rejected": (640, 20, 200, 56, "Rejected records", "id, position, stage, reason"),
    "graph": (270, 122, 190, 56, "tf.Transform graph", "one for training and serving"),
    "train": (20, 224, 190, 56, "triad train", "towers, fusion, task heads"),
    "model": (270, 224, 190, 56, "Model bundle", "the graph is inside"),
    "score": (640, 224, 200, 56, "triad score, triad stream", "scores with digests"),
    "parity": (270, 310, 190, 46, "triad parity", "compares both paths"),
    "published": (640, 310, 200, 46, "Published run", "CURRENT names it"),
}
ARROWS = (
    ((210, 48), (270, 48)),
    ((460, 48), (640, 48)),
    ((365, 76), (365, 122)),
    ((270, 160), (115, 224)),
    ((210, 252), (270, 252)),
    ((460, 252), (640, 252)),
    ((365, 280), (365, 310)),
    ((740, 280), (740, 310)),
    ((460, 150), (740, 224)),
)
WORDS = (
    (480, 40, "nothing usable is left"),
    (108, 190, "TFRecords"),
    (630, 172, "the same features"),
)


def svg() -> str:
    """Returns the drawing as text, which is equal on every machine."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        ' font-family="sans-serif" font-size="14">',
        "<title>The path of a record through Triad</title>",
        '<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8"'
        ' markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#5c6bc0"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for (x1, y1), (x2, y2) in ARROWS:
        parts.append(
            f'<path d="M{x1} {y1}L{x2} {y2}" stroke="#5c6bc0" stroke-width="1.5"'
            ' marker-end="url(#end)"/>'
        )
    for x, y, text in WORDS:
        parts.append(f'<text x="{x}" y="{y}" font-size="12" fill="#455a64">{text}</text>')
    for x, y, width, height, title, note in BOXES.values():
        middle = x + width / 2
        parts += [
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="#e8eaf6"'
            ' stroke="#3949ab"/>',
            f'<text x="{middle}" y="{y + height / 2 - 3}" text-anchor="middle" fill="#1a237e"'
            f' font-weight="bold">{title}</text>',
            f'<text x="{middle}" y="{y + height / 2 + 15}" text-anchor="middle" font-size="12"'
            f' fill="#455a64">{note}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    TARGET.write_text(svg(), encoding="utf-8")
