"""Use case of `triad report`: from settings to an HTML page."""

from triad_ml.pipelines.report.config import ReportConfig


def run(config: ReportConfig) -> str:
    """Writes the page and returns its path.

    Raises:
        OptionsError: The model does not exist, or nothing is published for the date.
        GateError: The model's files are not the exported or signed ones.
        StorageError: The page cannot be written, or the published run is damaged.
    """
    from triad_ml.pipelines.storage import cloud

    cloud.check_places(config.media_roots)
    from triad_ml.pipelines.report import page

    return page.write(
        config.model,
        config.scores,
        config.date,
        config.inputs,
        config.output,
        media_roots=config.media_roots,
        saliency=config.saliency,
        verify_key=config.verify_key,
    )
