"""Screenshot of a page of `triad report` on the tutorial's records: docs/pictures/report.png.

Run as `python docs/_site/report_picture.py REPORT.html`; it needs the program `chromium`.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

TARGET = Path(__file__).resolve().parents[1] / "pictures" / "report.png"
SIZE = (1100, 1500)  # pixels: the header, the figures and the confusion matrix
COLOURS = 64
FLAGS = (
    "--headless",
    "--no-sandbox",  # containers run it as root
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def main(page: Path) -> None:
    """Writes the image with few colours, so that its file stays small."""
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder, "shot.png")
        subprocess.run(  # noqa: S603
            [
                shutil.which("chromium") or "chromium",
                *FLAGS,
                f"--user-data-dir={folder}/profile",
                f"--window-size={SIZE[0]},{SIZE[1]}",
                f"--screenshot={shot}",
                page.resolve().as_uri(),
            ],
            check=True,
            capture_output=True,
        )
        with Image.open(shot) as image:
            few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
            few.save(TARGET, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
