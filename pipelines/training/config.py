"""Frozen, checked settings of training, search and encoder import."""

import dataclasses
import math
import os
from collections.abc import Mapping

from triad_ml.pipelines.runtime.checks import at_least, need
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec.encoder_names import LITE, MUSICNN, SENTENCES, WHISPER


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of one training. None takes a setting from the spec.

    Attributes:
        data: Folder that preprocessing wrote.
        output: Folder for the model, its report and the checkpoints.
        epochs: Number of epochs, instead of the spec's.
        seed: Random seed, instead of the spec's; below 2**31.
        batch_size: Number of records in a batch, instead of the spec's.
        fresh: True to discard an earlier model and its checkpoints.
        spec: File whose sections `model` and `training` replace those of the prepared spec.
        tensorboard: Folder for event files of TensorBoard; None writes none.
    """

    data: str
    output: str
    epochs: int | None = None
    seed: int | None = None
    batch_size: int | None = None
    fresh: bool = False
    spec: str | None = None
    tensorboard: str | None = None

    def __post_init__(self) -> None:
        if self.tensorboard is not None:
            need("--tensorboard", self.tensorboard)
            if "://" in self.tensorboard:
                raise OptionsError(
                    f"--tensorboard: {self.tensorboard}: event files are written to a local folder"
                )
        need("--data", self.data)
        if self.spec is not None:
            need("--spec", self.spec)
        if self.data.startswith("gs://"):
            raise OptionsError(
                f"--data: {self.data}: training reads local files; copy the folder to this machine "
                "(gcloud storage cp -r): its manifest proves the copy"
            )
        need("--output", self.output)
        if self.output.startswith("gs://"):
            raise OptionsError(
                f"--output: {self.output}: training writes to a local folder; name one, and copy "
                "the model when it is done"
            )
        at_least("--epochs", self.epochs, 1)
        at_least("--seed", self.seed, 0)
        if self.seed is not None and self.seed >= 2**31:
            raise OptionsError(f"--seed: must be below {2**31}, got {self.seed}")
        at_least("--batch-size", self.batch_size, 1)


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """Settings of one hyperparameter search.

    Attributes:
        data: Folder that preprocessing wrote.
        output: Folder for the best spec, the table of trials and the state for a restart.
        trials: Total number of trials, including those of earlier calls.
        minutes: Minutes after which no epoch begins; None for no limit.
        space: File with the search space; None for the default space.
        seed: Random seed that determines the values that are tried.
    """

    data: str
    output: str
    trials: int = 30
    minutes: float | None = None
    space: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        need("--data", self.data)
        if self.data.startswith("gs://"):
            raise OptionsError(f"--data: {self.data}: a search reads local files; copy it here")
        need("--output", self.output)
        if self.output.startswith("gs://"):
            raise OptionsError(f"--output: {self.output}: a search writes to a local folder")
        at_least("--trials", self.trials, 1)
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise OptionsError(f"--minutes: must be over 0, got {self.minutes:g}")
        if self.space is not None:
            need("--space", self.space)
        at_least("--seed", self.seed, 0)


@dataclasses.dataclass(frozen=True)
class EncoderFile:
    """Kind of file that the conversion of an encoder writes.

    Attributes:
        suffix: End of its name.
        mark: Bytes in the first 64 KiB of each such file.
    """

    suffix: str
    mark: bytes

    def check_name(self, output: str) -> None:
        """Refuses a path with another suffix."""
        if not output.endswith(self.suffix):
            raise OptionsError(f"--output: must end in {self.suffix}, got {output!r}")

    def check(self, output: str) -> None:
        """Refuses an existing file that Triad did not write; see `outputs.check_file`."""
        from triad_ml.pipelines.storage import outputs

        outputs.check_file(output, self.mark, "file of weights")


@dataclasses.dataclass(frozen=True)
class EncoderFolder:
    """Kind of folder that the conversion of an encoder writes.

    Attributes:
        files: Names of the files in it.
    """

    files: tuple[str, ...]

    def check_name(self, output: str) -> None:
        """Refuses a path that the spec could not name as a folder."""
        if output.startswith("gs://"):
            raise OptionsError(f"--output: must be a local folder, got {output!r}")

    def check(self, output: str) -> None:
        """Refuses a folder with other files; see `outputs.check_folder`."""
        from triad_ml.pipelines.storage import outputs

        outputs.check_folder(
            output,
            "encoder",
            lambda: sorted(os.listdir(output)) == sorted(self.files),
            bare=True,
        )


_AUDIO_FILE = EncoderFile(".safetensors", b'"triad.encoder"')

ENCODERS: Mapping[str, EncoderFile | EncoderFolder] = {
    LITE: EncoderFile(".weights.h5", b"\x89HDF\r\n"),
    WHISPER: _AUDIO_FILE,
    MUSICNN: _AUDIO_FILE,
    SENTENCES: EncoderFolder(("LICENSE", "config.json", "model.safetensors", "tokenizer.json")),
}
"""Encoders whose weights are converted."""


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """Settings of the conversion of a pretrained encoder's weights.

    Attributes:
        output: File to write; its name ends in `.weights.h5` for images, `.safetensors` for audio.
            Of a text encoder the folder to write.
        weights: File or folder to read; None for the one in the installed package, of
            `efficientnet_lite0` only.
        kind: Name of the encoder.
    """

    output: str
    weights: str | None = None
    kind: str = LITE

    def __post_init__(self) -> None:
        need("--output", self.output)
        if ENCODERS.get(self.kind) is None:
            raise OptionsError(f"--kind: must be one of {', '.join(ENCODERS)}, got {self.kind!r}")
        self.written.check_name(self.output)
        if self.weights is not None:
            need("--weights", self.weights)

    @property
    def written(self) -> EncoderFile | EncoderFolder:
        """Kind of file or folder to write."""
        return ENCODERS[self.kind]
