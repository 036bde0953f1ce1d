"""The use case of `triad current`: the score files of a date that count."""

from triad_ml.pipelines.publishing import parts, publish
from triad_ml.pipelines.publishing.config import CurrentConfig


def run(config: CurrentConfig) -> tuple[str, ...]:
    """Returns the paths of the files that count; see `publish.open_current`.

    Raises:
        OptionsError: Nothing is published for the date.
        DamagedError: A file of the run is missing or broken.
    """
    published, manifest = publish.counting(config.output, config.date)
    parts.refuse_broken(published, manifest)
    return publish.open_current(config.output, manifest.date)
