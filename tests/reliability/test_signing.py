"""Signatures of model folders: any change is refused, by `triad score` before loading."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests import canonical, reports
from triad_ml.model.serving import bundle, signing
from triad_ml.pipelines.cli import main
from triad_ml.transforms.errors import GateError, OptionsError

CLASSES = {"kind": ("fan", "pump"), "marks": ("new", "old", "red")}


def write_keys(folder: Path, name: str, password: bytes | None = None) -> tuple[Path, Path]:
    private = ec.generate_private_key(ec.SECP256R1())
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    paths = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    encoding, subject = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    kind = serialization.PrivateFormat.PKCS8
    paths[0].write_bytes(private.private_bytes(encoding, kind, encryption))
    paths[1].write_bytes(private.public_key().public_bytes(encoding, subject))
    return paths


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return write_keys(tmp_path, "ours")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A whole folder of a model, without what TensorFlow would load."""
    folder = reports.model_folder(tmp_path / "model", canonical.SPEC, CLASSES, None)
    return folder


def test_a_signed_model_verifies_wherever_it_lies(
    model: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    assert signing.sign(model, keys[0]) == model / "model.sig"
    signing.verify(model, keys[1])
    moved = shutil.copytree(model, tmp_path / "elsewhere" / "renamed")
    signing.verify(moved, keys[1])
    (tmp_path / "link").symlink_to(moved)
    signing.verify(tmp_path / "link", keys[1])
    assert bundle.load(moved).batch_size == 32  # the signature is no file too many


def test_a_second_signature_replaces_the_first(
    model: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    private, public = write_keys(tmp_path, "theirs")
    signing.sign(model, keys[0])
    signing.sign(model, private)
    signing.verify(model, public)
    with pytest.raises(GateError, match="is not what was signed: Key mismatch"):
        signing.verify(model, keys[1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def link(path: Path) -> None:
    target = path.rename(path.parents[1] / f"{path.name}.elsewhere")
    path.symlink_to(target)


FILES = ("triad.json", "analysis.json", "history.csv", bundle.PARTS)


@pytest.mark.parametrize("name", FILES)
def test_a_link_is_refused_even_to_the_bytes_that_were_signed(
    model: Path, keys: tuple[Path, Path], name: str
) -> None:
    signing.sign(model, keys[0])
    link(model / name)
    with pytest.raises(GateError, match=f"^{model / name}: is a link, "):
        signing.verify(model, keys[1])


@pytest.mark.parametrize("change", [flip, Path.unlink])
@pytest.mark.parametrize("name", FILES)
def test_any_change_of_any_file_is_refused(
    model: Path, keys: tuple[Path, Path], name: str, change: Callable[[Path], None]
) -> None:
    signing.sign(model, keys[0])
    change(model / name)
    with pytest.raises(GateError, match=f"^{model}: is not what was signed: ") as refused:
        signing.verify(model, keys[1])
    assert Path(name).name in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["notes.txt", "saved_model/x.so", ".gitignore", ".git/hooks/x"])
def test_a_file_too_many_is_refused(model: Path, keys: tuple[Path, Path], name: str) -> None:
    signing.sign(model, keys[0])
    (model / name).parent.mkdir(parents=True, exist_ok=True)
    (model / name).touch()
    with pytest.raises(GateError, match="is not what was signed: .*Extra files found"):
        signing.verify(model, keys[1])


def test_each_flipped_byte_of_the_signed_statement_is_refused(
    model: Path, keys: tuple[Path, Path]
) -> None:
    signing.sign(model, keys[0])
    whole = (model / signing.SIGNATURE).read_bytes()
    payload = json.loads(whole)["dsseEnvelope"]["payload"].encode()
    begin = whole.index(payload)
    for place in range(begin, begin + len(payload), 97):
        damaged = bytearray(whole)
        damaged[place] = ord("A") if damaged[place] != ord("A") else ord("B")
        (model / signing.SIGNATURE).write_bytes(damaged)
        with pytest.raises(GateError, match="is not what was signed"):
            signing.verify(model, keys[1])


@pytest.mark.parametrize(
    "content", [b"", b"{", b"{}", b"[]", b"null", b"\xff\xfe", b'{"verificationMaterial": {}}']
)
def test_what_is_no_signature_is_refused(
    model: Path, keys: tuple[Path, Path], content: bytes
) -> None:
    (model / signing.SIGNATURE).write_bytes(content)
    with pytest.raises(GateError, match=f"^{model}: is not what was signed: "):
        signing.verify(model, keys[1])


def test_an_unsigned_model_is_refused_with_the_remedy(model: Path, keys: tuple[Path, Path]) -> None:
    with pytest.raises(GateError) as refused:
        signing.verify(model, keys[1])
    assert str(refused.value) == (
        f"{model}/model.sig: is missing, so the model is not signed; take a signed one, or sign it "
        f"with `triad sign {model} --key KEY.pem`"
    )


def test_only_a_whole_model_is_signed(model: Path, keys: tuple[Path, Path]) -> None:
    flip(model / "analysis.json")
    with pytest.raises(GateError, match="analysis.json: is not the file that was exported"):
        signing.sign(model, keys[0])
    assert not (model / signing.SIGNATURE).exists()


def test_keys_of_another_kind_are_one_line_each(
    model: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "ed25519.pem").write_bytes(other)
    (tmp_path / "text.pem").write_text("no key")
    locked, _ = write_keys(tmp_path, "locked", password=b"CANARY")
    for path, said in {
        tmp_path / "ed25519.pem": "is no private key on P-256",
        tmp_path / "text.pem": "is no private key in PEM",
        tmp_path / "absent.pem": "the key cannot be read: No such file",
        keys[1]: "is no private key in PEM",
        locked: "the key has a password",
    }.items():
        with pytest.raises(OptionsError, match=f"^{path}: {said}"):
            signing.sign(model, path)
    signing.sign(model, keys[0])
    with pytest.raises(OptionsError, match=f"^{keys[0]}: is no public key in PEM"):
        signing.verify(model, keys[0])


def test_score_with_a_key_refuses_before_it_looks_at_the_model(
    model: Path, keys: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signing.sign(model, keys[0])
    (model / "triad.json").write_text("no JSON: whoever reads this first fails otherwise")
    command = ["score", "--model", str(model), "--input", str(tmp_path / "none.jsonl")]
    command += ["--output", str(tmp_path / "scores"), "--date", "2026-11-24"]
    assert main.main([*command, "--verify-key", str(keys[1])]) == GateError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"triad: {model}: is not what was signed: ")
    assert "triad.json" in line
    assert not (tmp_path / "scores").exists()


def test_the_commands_sign_and_verify(
    model: Path, keys: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["verify", str(model), "--key", str(keys[1])]) == 10
    assert main.main(["sign", str(model), "--key", str(keys[0])]) == 0
    assert main.main(["verify", str(model), "--key", str(keys[1])]) == 0
    assert capsys.readouterr().out == f"{model}/model.sig\n{model}: is as it was signed\n"
