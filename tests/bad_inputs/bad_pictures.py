"""Pictures that are broken, odd, or made to hurt: each is written under a name that says why."""

import io
import os
import pickle
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

BLOCKS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
PHOTO = Image.fromarray(BLOCKS)
ORIENTATION = 0x0112


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch '{self.flag}'",)


def coded(picture: Image.Image, kind: str, **settings: Any) -> bytes:
    """Return a picture's file."""
    out = io.BytesIO()
    picture.save(out, kind, **settings)
    return out.getvalue()


def turned(tag: int, **settings: Any) -> bytes:
    """Return a JPEG that its EXIF tag turns."""
    exif = Image.Exif()
    exif[ORIENTATION] = tag
    return coded(PHOTO, "JPEG", exif=exif, **settings)


def chunk(name: bytes, body: bytes) -> bytes:
    """Return one chunk of a PNG."""
    whole = name + body
    return struct.pack(">I", len(body)) + whole + struct.pack(">I", zlib.crc32(whole))


def png(width: int, height: int, *chunks: bytes, bits: int = 8, colour: int = 2) -> bytes:
    """Return a PNG whose header says these sides, whatever follows."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), *chunks, chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@cache
def one_bit(side: int) -> bytes:
    """Return a whole PNG of one bit a pixel: 60,000 x 60,000 of them take 427 kB."""
    packer, row = zlib.compressobj(9), b"\0" * (side // 8 + 1)
    body = b"".join(packer.compress(row * 100) for _ in range(side // 100)) + packer.flush()
    return png(side, side, chunk(b"IDAT", body), bits=1, colour=0)


def lying(width: int, height: int, *, progressive: bool = False) -> bytes:
    """Return a small JPEG whose header says other sides."""
    data = bytearray(coded(PHOTO, "JPEG", progressive=progressive))
    at = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def scans(times: int) -> bytes:
    """Return a JPEG that says its last scan again: each takes the time of a whole picture."""
    data = coded(PHOTO.convert("L"), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xc4") : -2]  # its table, and the scan
    return data[:-2] + last * times + data[-2:]


def canvas(side: int) -> bytes:
    """Return a WEBP that says its one small frame lies on a canvas of these sides."""
    frame = coded(PHOTO, "WEBP")[12:]
    sides = struct.pack("<I", side - 1)[:3] * 2
    small = b"".join(struct.pack("<I", n)[:3] for n in (0, 0, PHOTO.width - 1, PHOTO.height - 1))
    frames = small + struct.pack("<I", 100) + frame
    body = b"".join(
        name + struct.pack("<I", len(part)) + part
        for name, part in ((b"VP8X", b"\2\0\0\0" + sides), (b"ANIM", bytes(6)), (b"ANMF", frames))
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def moving(kind: str) -> bytes:
    """Return a file of two frames."""
    second = PHOTO.transpose(Image.Transpose.ROTATE_180)
    return coded(PHOTO, kind, save_all=True, append_images=[second])


@cache
def text_bomb() -> bytes:
    """Return a PNG with a text of 50 MB in 50 kB."""
    body = b"Comment\0\0" + zlib.compress(b"a" * 50_000_000, 9)
    pixels = zlib.compress(b"\0" * (8 * 25))
    return png(8, 8, chunk(b"zTXt", body), chunk(b"IDAT", pixels))


def left_out(flag: Path) -> dict[str, tuple[bytes, str]]:
    """Return name -> (bytes, the check that it fails); `flag` is what a pickle would make."""
    photo, drawn, small = coded(PHOTO, "JPEG"), coded(PHOTO, "PNG"), coded(PHOTO, "WEBP")
    return {
        "half.jpg": (photo[: len(photo) // 2], "image.truncated"),
        "half_and_closed.jpg": (photo[: len(photo) // 2] + b"\xff\xd9", "image.truncated"),
        "half.png": (drawn[: len(drawn) // 2], "image.truncated"),
        "half.webp": (small[: len(small) // 2], "image.undecodable"),
        "empty.jpg": (b"", "image.undecodable"),
        "page.jpg": (b"<!doctype html><html>no such picture</html>", "image.undecodable"),
        "text.jpg": (b"404: Not Found\n", "image.undecodable"),
        "pickle.jpg": (pickle.dumps(Evil(flag), protocol=0), "image.undecodable"),
        "zip.jpg": (b"PK\x03\x04" + bytes(60), "image.undecodable"),
        "program.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n(x) run\n", "image.undecodable"),
        "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image.undecodable"),
        "phone.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image.undecodable"),
        "paper.pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "image.undecodable"),
        "scan.tif": (coded(PHOTO, "TIFF"), "image.undecodable"),
        "still.gif": (coded(PHOTO, "GIF"), "image.undecodable"),
        "moving.gif": (moving("GIF"), "image.undecodable"),
        "moving.png": (moving("PNG"), "image.animated"),
        "moving.webp": (moving("WEBP"), "image.animated"),
        "wide.png": (png(20_000, 2, chunk(b"IDAT", b"")), "image.too_large"),
        "large.png": (png(8_001, 8_001, chunk(b"IDAT", b"")), "image.too_large"),
        "huge.png": (png(20_000, 20_000, chunk(b"IDAT", b"")), "image.too_large"),
        "one_bit.png": (one_bit(60_000), "image.too_large"),
        "lying.jpg": (lying(65_000, 65_000), "image.too_large"),
        "lying_a_little.jpg": (lying(8_000, 8_000), "image.truncated"),
        "progressive.jpg": (lying(8_000, 8_000, progressive=True), "image.too_large"),
        "scans.jpg": (scans(40), "image.too_large"),
        "canvas.webp": (canvas(8_000), "image.too_large"),
        "nothing_behind_it.png": (png(8_000, 8_000, chunk(b"IDAT", b"")), "image.truncated"),
        "text_bomb.png": (text_bomb(), "image.undecodable"),
    }


def taken() -> dict[str, tuple[bytes, str]]:
    """Return name -> (bytes, the check by which it is counted); all can be used."""
    deep = Image.fromarray(BLOCKS[..., 0].astype(np.uint16) * 257)
    clear = PHOTO.convert("RGBA")
    clear.putalpha(120)
    return {
        "inks.jpg": (coded(PHOTO.convert("CMYK"), "JPEG"), "image.mode"),
        "deep.png": (coded(deep, "PNG"), "image.mode"),
        "palette.png": (coded(PHOTO.quantize(8), "PNG"), "image.mode"),
        "clear.png": (coded(clear, "PNG"), "image.mode"),
        "grey.jpg": (coded(PHOTO.convert("L"), "JPEG"), "image.mode"),
        "jpeg_inside.png": (turned(1), "image.suffix"),
        "png_inside.jpg": (coded(PHOTO, "PNG"), "image.suffix"),
        "dot.png": (coded(PHOTO.crop((0, 0, 1, 1)), "PNG"), "image.small"),
        "strip.png": (coded(PHOTO.crop((0, 0, 60, 7)), "PNG"), "image.small"),
        **{f"turned_{tag}.jpg": (turned(tag), "image.exif") for tag in range(2, 9)},
    }


def write_no_files(folder: Path) -> dict[str, str]:
    """Write what has a picture's name and is no file of this folder; return name -> check."""
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    with (folder / "sixty_five_megabytes.jpg").open("wb") as file:
        file.truncate(65 * 2**20)
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "private.jpg").write_bytes(coded(PHOTO, "JPEG", quality=60))
    links = {
        "passwords.jpg": ("/etc/passwd", "image.place"),
        "leads_out.jpg": ("../elsewhere/private.jpg", "image.place"),
        "leads_nowhere.jpg": ("gone.jpg", "image.missing"),
        "leads_to_itself.jpg": ("leads_to_itself.jpg", "file.unreadable"),
    }
    for name, (target, _) in links.items():
        (folder / name).symlink_to(target)
    return {
        "folder.jpg": "file.unreadable",
        "pipe.jpg": "file.unreadable",
        "sixty_five_megabytes.jpg": "image.too_large",
        "not_there.jpg": "image.missing",
        **{name: check for name, (_, check) in links.items()},
    }
