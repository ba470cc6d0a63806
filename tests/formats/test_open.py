from __future__ import annotations

import hashlib
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checker.discovery import PlugInError, discover, module_names
from checker.errors import AmbiguousFormatError, FormatError, LimitError, UnknownFormatError
from checker.formats import _open, mcuboot
from checker.formats._open import detect, open_artifact
from checker.formats.contract import Context, Format
from checker.io import digests
from checker.io.digests import DigestRequest
from checker.io.limits import MAX_DEPTH
from checker.io.sources import BytesSource
from checker.model.artifact import Artifact, Coverage, Image, Source
from checker.model.terms import Outcome
from tests.formats import samples

FORMATS = discover("checker.formats", "FORMAT", Format)
MCUBOOT_HEAD = struct.pack("<IIHHIIBBHII", 0x96F3B83D, 0, 32, 0, 16, 0, 1, 0, 0, 0, 0)
CPIO_HEAD = b"070702" + b"0" * 48 + b"00000010" + b"0" * 32 + b"0000000f" + b"0" * 8 + b"sw-description\x00"
HEADS = (b"", MCUBOOT_HEAD, CPIO_HEAD, b"\x30\x82", b"hsqs", b"PK\x03\x04")


def test_every_module_of_the_room_is_a_format_that_names_its_sources() -> None:
    assert [known.id.replace("-", "_") for known in FORMATS] == sorted(module_names("checker.formats"))
    assert all(known.title and known.references for known in FORMATS)


def test_a_new_format_is_one_new_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "more_formats"
    package.mkdir()
    (package / "__init__.py").write_text("")
    text = Path(mcuboot.__file__).read_text().replace('id="mcuboot"', 'id="mcuboot_copy"')
    (package / "mcuboot_copy.py").write_text(text.replace('id="mcuboot_copy"', 'id="mcuboot-copy"'))
    monkeypatch.syspath_prepend(tmp_path)
    found = discover("more_formats", "FORMAT", Format)
    assert [known.id for known in found] == ["mcuboot-copy"]
    for name in [name for name in sys.modules if name.startswith("more_formats")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"", "empty"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\x7fELF\x02", "ELF"),
        (b"hsqs....", "squashfs"),
        (b"-----BEGIN CERTIFICATE-----", "PEM"),
        (bytes(257) + b"ustar", "tar"),
        (b"\x01\x02\x03\x04\x05\x06\x07\x08\x09", "01 02 03 04 05 06 07 08"),
    ],
)
def test_a_file_of_no_known_format_is_refused_with_what_it_looks_like(kit: Any, data: bytes, hint: str) -> None:
    with pytest.raises(UnknownFormatError, match=hint):
        kit.open(data)


def test_two_claims_are_refused_with_both_names(kit: Any, imgtool: Any) -> None:
    data = imgtool().read_bytes()
    with pytest.raises(AmbiguousFormatError, match="detached, mcuboot"):
        kit.open(data, signature=b"x" * 64)
    with pytest.raises(FormatError, match="reads no companion"):  # or the signature would be left out in silence
        kit.open(data, signature=b"x" * 64, format_id="mcuboot")
    outer = kit.open(data, signature=b"x" * 64, format_id="detached")
    assert outer.images[0].inner.format == "mcuboot"
    assert outer.images[0].inner.sha256 == outer.sha256


def test_a_named_format_that_does_not_exist_is_refused_with_those_that_do(kit: Any) -> None:
    with pytest.raises(PlugInError, match="mcuboot"):
        kit.open(b"", format_id="nonsense")


def test_the_name_of_a_file_decides_nothing(kit: Any, imgtool: Any) -> None:
    source = BytesSource("update.swu", imgtool().read_bytes())
    assert detect(source, kit.context()).id == "mcuboot"


def test_the_identity_digest_is_of_the_whole_file(kit: Any, imgtool: Any) -> None:
    data = imgtool().read_bytes()
    assert kit.open(data).sha256 == hashlib.sha256(data).hexdigest()


class _Nesting:
    """A source that looks like a container whose member is itself."""

    name = "endless"
    size = 4

    def read(self, offset: int, length: int) -> bytes:
        return b"LOOP"[offset : offset + length]


def _endless(source: Source, context: Context) -> Iterator[Any]:
    del context
    yield ()
    image = Image(id="self", size=source.size, source=source)
    return Artifact(  # type: ignore[return-value]
        format="loop", name=source.name, size=4, sha256="", signatures=(), coverage=Coverage(), images=(image,)
    )


LOOP = Format(
    id="loop",
    title="a container of itself",
    detect=lambda source, _: source.read(0, 4) == b"LOOP",
    parse=_endless,  # type: ignore[arg-type]
    references=("this test",),
)


def test_containers_in_containers_end_at_the_depth_limit(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_open, "discover", lambda *_: (LOOP,))
    artifact = open_artifact(_Nesting(), kit.context())
    depth = len(list(artifact.walk()))
    assert depth == MAX_DEPTH + 1
    innermost = list(artifact.walk())[-1]
    assert "MAX_DEPTH" in innermost.images[0].note
    assert [weakness.code for weakness in innermost.weaknesses] == ["inner-unreadable"]
    with pytest.raises(LimitError, match="MAX_DEPTH"):
        open_artifact(_Nesting(), replace(kit.context(), depth=MAX_DEPTH + 1))


def test_fallback_formats_are_asked_only_when_no_other_claims_a_file(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fallback = replace(LOOP, id="fallback", detect=lambda *_: True, fallback=True)
    monkeypatch.setattr(_open, "discover", lambda *_: (fallback, LOOP))
    assert detect(_Nesting(), kit.context()).id == "loop"
    assert detect(BytesSource("x", b"other"), kit.context()).id == "fallback"


def test_digests_are_answered_once_and_over_several_rounds(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[DigestRequest] = []
    real = digests._one
    monkeypatch.setattr(digests, "_one", lambda request, *more: real(_note(computed, request), *more))

    def rounds(source: Source, context: Context) -> Any:
        first = DigestRequest.over("sha-256", source)
        second = DigestRequest.over("sha-512", source)
        answers = yield (first, first)
        assert answers[first] == hashlib.sha256(b"LOOP").digest()
        answers = yield (first, second)
        assert set(answers) == {first, second}
        assert (yield ()) == {}
        return (yield from _endless(source, context))

    monkeypatch.setattr(_open, "discover", lambda *_: (replace(LOOP, parse=rounds),))
    open_artifact(_Nesting(), replace(kit.context(), depth=MAX_DEPTH))
    assert sorted(request.algorithm for request in computed) == ["sha-256", "sha-512"]


def _note(computed: list[DigestRequest], request: DigestRequest) -> DigestRequest:
    computed.append(request)
    return request


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.id)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=st.sampled_from(HEADS), body=st.binary(max_size=300), signature=st.none() | st.binary(max_size=80))
def test_arbitrary_bytes_give_an_artifact_or_a_format_error(
    kit: Any, known: Format, head: bytes, body: bytes, signature: bytes | None
) -> None:
    source, context = BytesSource("x", head + body), kit.context(signature=signature)
    assert known.detect(source, context) in {True, False}
    try:
        artifact = open_artifact(source, context, known.id)
    except FormatError:
        return
    assert artifact.format == known.id
    assert all(item.outcome is not Outcome.VALID for item in artifact.signatures)


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.id)
def test_every_truncation_of_a_small_head_is_answered(kit: Any, known: Format) -> None:
    for head in HEADS:
        for size in range(len(head) + 1):
            context = kit.context(signature=head[: size // 2])
            try:
                open_artifact(BytesSource("x", head[:size]), context, known.id)
            except FormatError:
                continue


def test_weakness_codes_are_stated_by_every_format_and_by_the_driver() -> None:
    import importlib

    for name in (*module_names("checker.formats"), "_open", "_common"):
        codes = importlib.import_module(f"checker.formats.{name}").WEAKNESSES
        assert codes
        assert len(set(codes)) == len(codes)
        assert all(code == code.lower() and " " not in code for code in codes)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"flahs_address": "0x1000"}, "esp-idf reads no option 'flahs_address'; did you mean 'flash_address'?"),
        ({"colour": "red"}, "reads no option 'colour'; it reads: flash_address"),
    ],
)
def test_an_option_that_the_format_does_not_know_is_refused(kit: Any, options: dict[str, str], said: str) -> None:
    path = samples.FOLDER / "esp_idf" / "good" / "signed-v2-rsa.bin"
    with pytest.raises(FormatError) as caught:
        kit.open(path, options=options)
    assert said in str(caught.value)


def test_a_signature_beside_a_format_that_reads_none_is_refused_and_never_left_out(kit: Any) -> None:
    path = samples.FOLDER / "mcuboot" / "good" / "signed.bin"
    with pytest.raises(FormatError, match="mcuboot reads no companion 'signature'; it reads: none"):
        kit.open(path, format_id="mcuboot", signature=bytes(64))


def test_options_for_probes_are_every_formats(kit: Any) -> None:
    path = samples.FOLDER / "mcuboot" / "good" / "signed.bin"
    assert kit.open(path, options={"target.image": "mcu", "plaintext_sha256": "00" * 32}).format == "mcuboot"


def nested_fit(content: bytes, images: int) -> bytes:
    """Return a device tree whose images all lie in the same bytes, as FIT allows."""
    names = b"description\0data-position\0data-size\0"

    def pad(data: bytes) -> bytes:
        return data + bytes(-len(data) % 4)

    def begin(name: str) -> bytes:
        return struct.pack(">I", 1) + pad(name.encode() + b"\0")

    def prop(name: str, value: bytes) -> bytes:
        return struct.pack(">III", 3, len(value), names.index(name.encode() + b"\0")) + pad(value)

    def structure(place: int) -> bytes:
        where = prop("data-position", struct.pack(">I", place)) + prop("data-size", struct.pack(">I", len(content)))
        nodes = b"".join(begin(f"i{number}") + where + struct.pack(">I", 2) for number in range(images))
        ends = struct.pack(">III", 2, 2, 9)
        return begin("") + prop("description", b"x\0") + begin("images") + nodes + ends

    size = 56 + len(structure(0)) + len(names)
    size += -size % 4
    tree = structure(size)
    head = struct.pack(">10I", 0xD00DFEED, size, 56, 56 + len(tree), 40, 17, 16, 0, len(names), len(tree))
    return (head + bytes(16) + tree + names).ljust(size, b"\0") + content


def test_images_that_share_bytes_do_not_multiply_the_work(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_open, "MAX_TRIED", 500)
    once = kit.open(nested_fit(nested_fit(b"payload", 3), 3))
    assert sum(1 for _ in once.walk()) == 4
    data = b"payload"
    for _ in range(6):
        data = nested_fit(data, 30)
    start = time.process_time()
    many = kit.open(data)  # 30 to the power of 6 images in 10 KB
    assert time.process_time() - start < 10
    found = list(many.walk())
    assert len(found) <= _open.MAX_OPENED + 1
    assert any("too many members" in image.note for item in found for image in item.images)


def test_a_member_that_is_too_large_for_what_is_left_is_told(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = nested_fit(nested_fit(b"payload", 1), 2)
    for name, value in (("MAX_SIZE", 0), ("MAX_SHARE", 0)):
        monkeypatch.setattr(_open, name, value)
    artifact = kit.open(data)
    assert all(image.inner is None and image.note for image in artifact.images)
    monkeypatch.setattr(_open, "MAX_SIZE", 10)
    assert "inner-unreadable" in kit.codes(kit.open(data))
