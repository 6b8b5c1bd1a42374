"""Bundles: what goes in comes out, equal contents give equal bytes, and nothing odd is opened."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgefas.contracts import ContractError, Policy
from edgefas.deploy.bundle import HEADER_BYTES, MAGIC, BundleError, Manifest, open_bundle, read_archive, write_bundle
from edgefas.errors import EdgefasError
from tests.scenes import spec

MANIFEST = Manifest(name="test", model="mobilenetv2", release=3, input_spec=spec(), trained_on="noise", members={})
MEMBERS = {"policy.json": Policy(threshold=1.5).to_json().encode(), "ort/model.onnx": b"\x00" * 100}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "test.efas"
    write_bundle(path, MANIFEST, MEMBERS)
    return path


def test_round_trip(bundle: Path) -> None:
    opened = open_bundle(bundle, allow_unsigned=True)
    assert opened.policy.threshold == 1.5
    assert opened.members == MEMBERS
    assert opened.manifest.release == 3
    assert opened.trust == "unsigned"
    assert list(bundle.parent.iterdir()) == [bundle]  # no temporary file stays


def test_equal_contents_give_equal_bytes(bundle: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.efas"
    write_bundle(again, MANIFEST, dict(reversed(MEMBERS.items())))
    assert again.read_bytes() == bundle.read_bytes()


def test_unsigned_needs_to_be_asked_for(bundle: Path) -> None:
    with pytest.raises(BundleError, match="--allow-unsigned"):
        open_bundle(bundle)


def test_missing_file_is_a_short_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="No such file"):
        open_bundle(tmp_path / "none.efas", allow_unsigned=True)


def test_a_signed_bundle_is_not_taken_for_an_unsigned_one(bundle: Path) -> None:
    data = bytearray(bundle.read_bytes())
    data[len(MAGIC)] = 1
    bundle.write_bytes(data)
    with pytest.raises(BundleError, match="does not trust"):
        open_bundle(bundle, allow_unsigned=True)


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "ort/../x", "A.onnx", "a//b", ".hidden", "a b", "c:\\d"])
def test_member_names_cannot_leave_the_bundle(bundle: Path, name: str) -> None:
    with pytest.raises(BundleError, match="not allowed"):
        read_archive(_with_entry(bundle, name, b"x"))


def test_links_compression_and_duplicates_are_refused(bundle: Path) -> None:
    with pytest.raises(BundleError, match="regular file"):
        read_archive(_with_entry(bundle, "link", b"/etc/passwd", mode=stat.S_IFLNK | 0o777))
    with pytest.raises(BundleError, match="compressed"):
        read_archive(_with_entry(bundle, "zeros", b"0" * 1000, method=zipfile.ZIP_DEFLATED))
    with pytest.warns(UserWarning, match="Duplicate"), pytest.raises(BundleError, match="distinct"):
        read_archive(_with_entry(bundle, "policy.json", b"{}"))


def test_a_member_that_the_manifest_does_not_name_is_refused(bundle: Path) -> None:
    with pytest.raises(BundleError, match="extra"):
        read_archive(_with_entry(bundle, "extra", b"x"))


def test_too_many_members_are_refused(bundle: Path) -> None:
    data = bundle.read_bytes()[HEADER_BYTES:]
    for number in range(70):
        data = _with_entry_bytes(data, f"m{number}", b"")
    with pytest.raises(BundleError, match="at most 64"):
        read_archive(data)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(data=st.data())
def test_any_flipped_byte_is_noticed_or_harmless(bundle: Path, data: st.DataObject) -> None:
    """A damaged archive gives a short error, or (unused zip fields) exactly the contents that were written."""
    content = bytearray(bundle.read_bytes()[HEADER_BYTES:])
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    try:
        manifest, members = read_archive(bytes(content))
    except EdgefasError:
        return
    assert members == MEMBERS
    assert manifest.release == 3


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(cut=st.integers(0, 2000))
def test_any_truncation_is_noticed(bundle: Path, cut: int) -> None:
    content = bundle.read_bytes()[HEADER_BYTES:]
    with pytest.raises(EdgefasError):
        read_archive(content[: min(cut, len(content) - 1)])


def test_a_bad_policy_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.efas"
    write_bundle(path, MANIFEST, {"policy.json": b'{"treshold": 1}'})
    with pytest.raises(ContractError, match="did you mean 'threshold'"):
        open_bundle(path, allow_unsigned=True)


def _with_entry(
    bundle: Path, name: str, content: bytes, mode: int = stat.S_IFREG | 0o644, method: int = zipfile.ZIP_STORED
) -> bytes:
    return _with_entry_bytes(bundle.read_bytes()[HEADER_BYTES:], name, content, mode, method)


def _with_entry_bytes(
    data: bytes, name: str, content: bytes, mode: int = stat.S_IFREG | 0o644, method: int = zipfile.ZIP_STORED
) -> bytes:
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        entry.compress_type = method
        archive.writestr(entry, content)
    return buffer.getvalue()
