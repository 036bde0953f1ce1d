"""The use case of `triad report`: settings in, one HTML page out."""

from triad_ml.pipelines.report.config import ReportConfig


def run(config: ReportConfig) -> str:
    """Writes the page.

    Returns:
        The page's path.

    Raises:
        OptionsError: The model or the date asked for is not there.
        GateError: The model's files are not the ones that were exported, or signed.
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
