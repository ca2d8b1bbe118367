import io
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from components.data.decode import PictureError, decode, look, picture_bytes, upright

RNG = np.random.default_rng(0)
SMOOTH = np.asarray(
    Image.fromarray(RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((37, 23))
)


def coded(picture: Image.Image, kind: str, **settings: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **settings)
    return out.getvalue()


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpegs_are_what_pillow_makes_of_them(mode: str, subsampling: int) -> None:
    data = coded(Image.fromarray(SMOOTH).convert(mode), "JPEG", subsampling=subsampling)
    wanted = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode(data), wanted)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP"])
def test_formats_without_loss(kind: str) -> None:
    data = coded(Image.fromarray(SMOOTH), kind, **({"lossless": True} if kind == "WEBP" else {}))
    np.testing.assert_array_equal(decode(data), SMOOTH)
    header = look(data)
    assert (header.format, header.width, header.height, header.turned) == (kind, 37, 23, False)


def test_inks_are_colours() -> None:
    picture = Image.fromarray(SMOOTH).convert("CMYK")
    data = coded(picture, "JPEG", quality=100)
    wanted = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode(data), wanted)
    assert np.abs(decode(data).astype(int) - SMOOTH).mean() < 3


def test_sixteen_bits_are_scaled() -> None:
    deep = np.array([[0, 257 * 100, 65535]], np.uint16)
    found = decode(coded(Image.fromarray(deep), "PNG"))
    assert found[0].tolist() == [[0] * 3, [100] * 3, [255] * 3]


def test_what_shines_through_is_white() -> None:
    colours = np.array([[[9, 9, 9, 0], [9, 9, 9, 255], [0, 0, 0, 128]]], np.uint8)
    assert decode(coded(Image.fromarray(colours), "PNG"))[0, :, 0].tolist() == [255, 9, 127]
    palette = Image.fromarray(SMOOTH).quantize(8)
    assert decode(coded(palette, "PNG", transparency=palette.getpixel((0, 0))))[0, 0].min() == 255


@pytest.mark.parametrize("turn", range(1, 9))
def test_pictures_and_boxes_are_turned_upright(turn: int) -> None:
    """A white rectangle in the stored pixels, turned: its box must be found where it then is."""
    stored = np.zeros((40, 64, 3), np.uint8)
    stored[8:16, 24:48] = 255
    exif = Image.Exif()
    exif[0x0112] = turn
    data = coded(Image.fromarray(stored), "PNG", exif=exif)
    found, header = decode(data), look(data)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(found, wanted)
    assert (header.height, header.width) == found.shape[:2]
    assert header.turned == (turn != 1)
    ys, xs = np.nonzero(found[..., 0])
    box = upright(np.array([[24, 8, 48, 16]], np.float32), header)
    assert box.tolist() == [[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]]


def test_a_turned_jpeg() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = coded(Image.fromarray(SMOOTH), "JPEG", exif=exif)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(decode(data), wanted)
    assert (look(data).width, look(data).height) == (23, 37)


def test_damaged_metadata_turn_nothing() -> None:
    data = coded(Image.fromarray(SMOOTH), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff12")
    np.testing.assert_array_equal(decode(data).shape, SMOOTH.shape)


def test_a_telephone_picture_is_its_first_frame() -> None:
    first = Image.fromarray(SMOOTH)
    data = coded(first, "MPO", save_all=True, append_images=[first.rotate(180)])
    assert look(data).format == "JPEG"
    wanted = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode(data), wanted)


def test_scans_are_counted_up_to_the_end_of_the_picture() -> None:
    """Telephones put a film behind it, in which any bytes stand."""
    data = coded(Image.fromarray(SMOOTH), "JPEG", progressive=True)
    np.testing.assert_array_equal(decode(data + b"\xff\xda\0\0" * 99), decode(data))
    rgb = [b"\xff\xda\0\x08\1" + bytes([i]) + bytes(4) for i in range(3)]
    ends = data.index(b"\xff\xda")
    with pytest.raises(PictureError, match="more than 32 scans of a JPEG"):
        look(data[:ends] + b"".join(rgb) * 11 + data[ends:])
    with pytest.raises(PictureError, match="more than 10000 segments of a JPEG"):
        look(data[:ends] + b"\xff\xfe\0\2" * 10_001 + data[ends:] + b"\xff\xda" * 33)


@pytest.mark.parametrize("kind", ["baseline", "progressive", "one channel a scan"])
def test_a_large_jpeg_of_several_scans_is_known(kind: str) -> None:
    data = bytearray(coded(Image.fromarray(SMOOTH), "JPEG", progressive=kind == "progressive"))
    at = data.index(b"\xff\xc2" if kind == "progressive" else b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 8000, 8000)
    if kind == "one channel a scan":
        data[data.index(b"\xff\xda") + 4] = 1
    if kind == "baseline":
        assert look(bytes(data)).width == 8000
        return
    with pytest.raises(PictureError, match="8000 x 8000 pixels; at most 32000000 in a WEBP"):
        look(bytes(data))


def test_rubbish_between_markers_is_no_damage() -> None:
    """Cameras leave bytes that a strict reader refuses; the pixels are whole."""
    data = coded(Image.fromarray(SMOOTH), "JPEG")
    np.testing.assert_array_equal(decode(data[:-2] + b"\0\0\0" + data[-2:]), decode(data))


def _png_header(width: int, height: int) -> bytes:
    made = b"\x89PNG\r\n\x1a\n"
    about = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for name, body in ((b"IHDR", about), (b"IDAT", zlib.compress(b"\0" * 99))):
        made += struct.pack(">I", len(body)) + name + body
        made += struct.pack(">I", zlib.crc32(name + body))
    return made


def _animated() -> bytes:
    frames = [Image.new("RGB", (9, 9), (i * 90, 0, 0)) for i in range(3)]
    return coded(frames[0], "PNG", save_all=True, append_images=frames[1:])


BAD = {
    "empty": (b"", "image.undecodable", "the file is empty"),
    "page": (b"<html>no such picture</html>", "image.undecodable", "begins with b'<html>no'"),
    "gif": (coded(Image.new("L", (9, 9)), "GIF"), "image.undecodable", "not one of JPEG"),
    "bomb": (_png_header(20_000, 20_000), "image.too_large", "400000000 pixels; at most 64000000"),
    "wide": (_png_header(20_000, 2), "image.too_large", "20000 x 2"),
    "large": (_png_header(8_001, 8_001), "image.too_large", "8001 x 8001"),
    "animated": (_animated(), "image.animated", "more than one frame"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=str)
def test_what_is_no_picture_is_said_at_once(case: str) -> None:
    data, check, text = BAD[case]
    began = time.perf_counter()
    for door in (look, decode):
        with pytest.raises(PictureError, match=text) as caught:
            door(data)
        assert caught.value.check == check
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_cut_pictures(kind: str) -> None:
    large = Image.fromarray(RNG.integers(0, 256, (80, 80, 3), dtype=np.uint8))
    data = coded(large, kind)
    with pytest.raises(PictureError) as caught:
        decode(data[: len(data) // 2])
    assert caught.value.check in ("image.truncated", "image.undecodable")


def test_any_flipped_byte_is_a_picture_or_a_picture_error() -> None:
    checks: set[str] = set()
    for kind in ("JPEG", "PNG", "WEBP", "BMP"):
        whole = coded(Image.fromarray(SMOOTH), kind)
        for _ in range(60):
            data = bytearray(whole)
            data[int(RNG.integers(len(data)))] ^= 1 << int(RNG.integers(8))
            try:
                assert decode(bytes(data)).dtype == np.uint8
            except PictureError as error:
                checks.add(error.check)
    assert checks <= {"image.truncated", "image.undecodable", "image.too_large"}


def test_files_that_hold_no_picture(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no such file"):
        picture_bytes(tmp_path / "a.jpg")
    with pytest.raises(PictureError, match="not a file"):
        picture_bytes(tmp_path)
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(PictureError, match="bytes; at most"):
        picture_bytes(tmp_path / "large.jpg")
