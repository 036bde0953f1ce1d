"""Frozen, checked settings of `triad track`."""

import dataclasses
from urllib.parse import parse_qsl, urlsplit

from triad_ml.pipelines.runtime.checks import need
from triad_ml.transforms.errors import OptionsError

_SECRET = ("user", "pass", "pwd", "token", "secret", "key")
"""Parts of the names of parameters in a query that say who calls."""


@dataclasses.dataclass(frozen=True)
class TrackConfig:
    """Settings of `triad track`.

    Attributes:
        model: Folder that training wrote.
        mlflow: URI of the tracking server or database.
        experiment: Name of the experiment, which is made if there is none.
        report: File of `triad report` that becomes an artifact of the run.
    """

    model: str
    mlflow: str
    experiment: str = "triad"
    report: str | None = None

    def __post_init__(self) -> None:
        need("MODEL", self.model)
        need("--mlflow", self.mlflow)
        need("--experiment", self.experiment)
        if self.report is not None:
            need("--report", self.report)
        parts = urlsplit(self.mlflow)
        named = {key.lower() for key, _ in parse_qsl(parts.query, keep_blank_values=True)}
        if "@" in parts.netloc or any(word in key for key in named for word in _SECRET):
            raise OptionsError(
                "--mlflow: has a user or a password, which would be logged; set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"
            )

    @property
    def place(self) -> str:
        """URI without its query, for messages."""
        return self.mlflow.partition("?")[0]
