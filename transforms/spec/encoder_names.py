"""Names of encoders in a spec; this module imports nothing, so that commands start fast."""

SMALL, LITE = "small", "efficientnet_lite0"

HUB, APPLICATIONS = "keras_hub", "keras.applications:"
"""Names of image encoders; the name of a function follows `APPLICATIONS`."""

WHISPER, MUSICNN, AS_IMAGE = "whisper", "musicnn", "image"
"""Names of audio encoders; `AS_IMAGE` is the image encoder, on a spectrogram."""

SENTENCES = "universal-sentence-encoder"
"""Name of the text encoder in `encoders.texts.sentences`, and value of its `model_type`."""
