"""Checks of versions: Python, installed against declared packages, and those of the model."""

import importlib.metadata
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from triad_ml.model.serving.bundle import Artefact
from triad_ml.pipelines.doctor.findings import Finding
from triad_ml.pipelines.runtime import environment
from triad_ml.transforms.hashing import ROOT

NAME = "triad-ml"
CONSTRAINTS = ROOT / "constraints.txt"
"""File with the tested versions, in a checkout only; a wheel is checked by its requirements."""

_INSTALL = "pip install -c constraints.txt WHEEL, here and in the workers' image"
_SHOWN = 8


def check(constraints: Path = CONSTRAINTS) -> Iterator[Finding]:
    """Checks Python, the libraries, and that only one of TensorFlow's two builds is installed."""
    try:
        declared = importlib.metadata.distribution(NAME)
    except importlib.metadata.PackageNotFoundError:
        yield Finding(
            "versions",
            "error",
            "triad is not installed for this interpreter",
            "its requirements are unknown, and workers have only what is installed",
            _INSTALL,
        )
        return
    yield from _python(declared.metadata["Requires-Python"] or "")
    installed = _installed()
    problems = [*_unmet(declared.requires or [], installed)]
    if constraints.is_file():
        problems += _differing(_pinned(constraints), installed)
    yield from problems
    if "tensorflow-cpu" in installed:
        yield Finding(
            "versions",
            "error",
            "tensorflow and tensorflow-cpu are both installed",
            "they write the same folder: what is imported is a mixture",
            "make the environment anew with tensorflow alone",
        )
    if not problems:
        held = "constraints.txt" if constraints.is_file() else "the requirements of the package"
        shown = ", ".join(f"{name} {version}" for name, version in environment.versions().items())
        yield Finding("versions", "ok", f"as {held} say: {shown}")


def of_model(model: Artefact) -> Finding:
    """Checks that the libraries have the versions with which the model was trained."""
    here, there = environment.versions(), model.about["versions"]
    differing = [
        f"{name} {there.get(name)} there, {version} here"
        for name, version in here.items()
        if there.get(name) != version
    ]
    if not differing:
        return Finding("model", "ok", f"{model.folder}: whole, and made with the versions of here")
    return Finding(
        "model",
        "warning",
        f"{model.folder}: was made with other versions: {', '.join(differing)}",
        "features and scores may differ in their last bits, or more",
        "run triad parity with this model before it scores, or install those versions",
    )


def keras_settings() -> Iterator[Finding]:
    """Checks the environment variables that decide which Keras is imported."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        yield Finding(
            "keras",
            "error",
            f"KERAS_BACKEND is {backend!r}",
            "the models of Triad are Keras on TensorFlow: training would fail",
            "unset KERAS_BACKEND, or set it to tensorflow",
        )
    legacy = os.environ.get("TF_USE_LEGACY_KERAS")
    if legacy is not None:
        yield Finding(
            "keras",
            "warning",
            f"TF_USE_LEGACY_KERAS is set to {legacy!r}",
            "tf.Transform sets it to 1 itself where it is not set, and tf.keras is then Keras 2; "
            "Triad imports keras and never tf.keras, so nothing of it changes; code beside it may",
            "unset it, and let code of your own import keras",
        )
    elif backend == "tensorflow":
        yield Finding("keras", "ok", "TF_USE_LEGACY_KERAS is not set; Triad imports keras itself")


def _python(required: str) -> Iterator[Finding]:
    if not SpecifierSet(required).contains(platform.python_version(), prereleases=True):
        yield Finding(
            "versions",
            "error",
            f"Python is {platform.python_version()}, and triad needs {required}",
            "functions are pickled as byte code of one Python, and workers must have the same",
            "run it with a Python that it supports",
        )


def _installed() -> dict[str, str]:
    """Returns versions by package name; of two on the path, that which is imported."""
    found: dict[str, str] = {}
    for one in importlib.metadata.distributions():
        found.setdefault(canonicalize_name(one.metadata["Name"]), one.version)
    return found


def _pinned(constraints: Path) -> dict[str, str]:
    lines = constraints.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, _, version in pairs}


def _unmet(requires: list[str], installed: Mapping[str, str]) -> Iterator[Finding]:
    """Yields an error for each requirement of the package that is not met, without its extras."""
    for line in requires:
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        version = installed.get(canonicalize_name(wanted.name))
        if version is None or not wanted.specifier.contains(version, prereleases=True):
            yield Finding(
                "versions",
                "error",
                f"{wanted.name} is {version or 'missing'}, and triad needs "
                f"{wanted.name}{wanted.specifier}",
                "nothing else was tested",
                _INSTALL,
            )


def _differing(pinned: Mapping[str, str], installed: Mapping[str, str]) -> list[Finding]:
    """Returns errors for libraries that affect features and scores, one warning for all others."""
    differing = {
        name: f"{name} is {installed[name]}, and constraints.txt says {version}"
        for name, version in sorted(pinned.items())
        if name in installed and installed[name] != version
    }
    deciding = {canonicalize_name(name) for name in environment.versions()}
    found = [
        Finding(
            "versions",
            "error",
            text,
            "features and scores depend on it, and workers get the version of the constraints",
            _INSTALL,
        )
        for name, text in differing.items()
        if name in deciding
    ]
    others = [text for name, text in differing.items() if name not in deciding]
    if others:
        more = f"; and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        found.append(
            Finding(
                "versions",
                "warning",
                "; ".join(others[:_SHOWN]) + more,
                "these versions were not tested together",
                _INSTALL,
            )
        )
    return found
