"""The one door for pictures: bytes in, upright RGB out, limits before anything is allocated."""

import io
import os
import re
import stat
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "BMP": "bmp"}
MOST_BYTES = 64 * 2**20
MOST_PIXELS = 64_000_000
LONGEST_SIDE = 16_384
OUTSIDE = "a link leads out of the folder of images; copy the picture into it"
BAND = 512  # rows turned into RGB at once: a large picture is never in memory three times
HELD = MOST_PIXELS // 2  # pixels of what decoders hold twice: WEBP, a JPEG of several scans
MOST_SCANS = 32  # of a JPEG, each of which costs the time of a picture; usual are 1 to 13
MOST_SEGMENTS = 10_000
SEGMENT = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]")  # a JPEG's marker with a length, or its end
FRAMES = {  # markers of a JPEG's header -> whether its pixels always come in several scans
    bytes([0xFF, kind]): kind in (0xC2, 0xC6, 0xCA, 0xCE)
    for kind in range(0xC0, 0xD0)
    if kind not in (0xC4, 0xC8, 0xCC)
}
MOST = f"at most {MOST_PIXELS}, and {LONGEST_SIDE} a side"
ORIENTATION = 0x0112  # EXIF tag
TURNS = {  # its values that turn -> steps through rows and columns that make it upright
    2: (1, -1),
    3: (-1, -1),
    4: (-1, 1),
    5: (1, 1),
    6: (1, -1),
    7: (-1, -1),
    8: (-1, 1),
}
SWAPS = (5, 6, 7, 8)  # rows and columns change places first
BROKEN = (OSError, SyntaxError, ValueError, KeyError, TypeError, IndexError, struct.error)


class PictureError(ValueError):
    """A picture that cannot be used; the check id says which check it failed."""

    def __init__(self, check: str, text: str) -> None:
        self.check, self.text = check, text
        super().__init__(text)

    def __reduce__(self) -> tuple[object, ...]:
        """Cross a process boundary whole."""
        return PictureError, (self.check, self.text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What the first bytes of a picture say of it."""

    format: str  # of FORMATS
    width: int  # px, upright
    height: int
    turn: int  # of TURNS, or 1: the stored picture is upright
    mode: str  # of the stored picture, as Pillow names it: RGB, L, CMYK, I;16, P, ...
    converted: bool  # its pixels are no plain RGB: grey, inks, a palette, 16 bits, see-through

    @property
    def turned(self) -> bool:
        """Return whether the stored picture is not upright."""
        return self.turn != 1


def picture_bytes(path: Path, *, within: Path | None = None) -> bytes:
    """Read a picture's file, which may be anything: a folder, a pipe, a link to what is private.

    Args:
        path: of the file.
        within: the folder that links may not lead out of; None follows them anywhere.

    Raises:
        PictureError: there is no file of a size we read, or it lies outside.
    """
    try:
        about = path.stat()
        if within is not None and not _lies_in(path, within):
            raise PictureError("image.place", OUTSIDE)
        if not stat.S_ISREG(about.st_mode):
            raise PictureError("file.unreadable", "not a file")
        if about.st_size > MOST_BYTES:
            raise PictureError("image.too_large", f"{about.st_size} bytes; at most {MOST_BYTES}")
        return path.read_bytes()
    except FileNotFoundError:
        raise PictureError("image.missing", "no such file") from None
    except OSError as error:
        raise PictureError("file.unreadable", error.strerror or str(error)) from None


def _lies_in(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def look(data: bytes) -> Header:
    """Read a picture's header and hold it against the limits; no pixel is decoded.

    Raises:
        PictureError: not a picture we read, too large, of several frames.
    """
    if len(data) > MOST_BYTES:
        raise PictureError("image.too_large", f"{len(data)} bytes; at most {MOST_BYTES}")
    with _opened(data) as picture:
        return _header(picture, data)


def decode(data: bytes) -> np.ndarray:
    """Return uint8 [H, W, 3], upright RGB.

    16-bit grey is scaled to 8 bits, alpha is laid on white, EXIF turns are applied.

    Raises:
        PictureError: as `look`, and where the pixels are cut short or damaged.
    """
    if len(data) > MOST_BYTES:
        raise PictureError("image.too_large", f"{len(data)} bytes; at most {MOST_BYTES}")
    pixels, turn = _stored(data)
    if turn in SWAPS:
        pixels = pixels.swapaxes(0, 1)
    if turn in TURNS:
        rows, columns = TURNS[turn]
        pixels = np.ascontiguousarray(pixels[::rows, ::columns])
    return pixels


def _stored(data: bytes) -> tuple[np.ndarray, int]:
    """Return uint8 [H, W, 3] as stored, and what turns it upright."""
    with _opened(data) as picture:
        header = _header(picture, data)
        stored = _whole_jpeg(data, picture.mode) if header.format == "JPEG" else None
        if stored is not None:
            return stored, header.turn
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of Pillow, on odd metadata
                return _pixels(picture), header.turn
        except BROKEN as error:
            raise PictureError("image.truncated", str(error)) from None


def _opened(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of Pillow, on odd metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        begins = f"begins with {data[:8]!r}" if data else "the file is empty"
        raise PictureError(
            "image.undecodable", f"not one of {', '.join(FORMATS)}; {begins}"
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        told = re.search(r"\d+ pixels", str(error))
        raise PictureError("image.too_large", f"{told[0] if told else error}; {MOST}") from None
    except BROKEN as error:
        raise PictureError("image.undecodable", f"damaged: {error}") from None


def _header(picture: Image.Image, data: bytes) -> Header:
    width, height = picture.size
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise PictureError("image.too_large", f"{width} x {height} pixels; {MOST}")
    many = picture.format == "MPO"  # a JPEG with previews behind it, as telephones write
    if many or picture.format == "JPEG":
        held = _several_scans(data, large=width * height > HELD)
    else:
        held = picture.format == "WEBP"
    if held and width * height > HELD:
        raise PictureError(
            "image.too_large",
            f"{width} x {height} pixels; at most {HELD} in a WEBP or a progressive JPEG",
        )
    if not many and getattr(picture, "n_frames", 1) > 1:
        raise PictureError("image.animated", "more than one frame")
    turn = _turn(picture)
    return Header(
        format="JPEG" if many else str(picture.format),
        width=height if turn in SWAPS else width,
        height=width if turn in SWAPS else height,
        turn=turn,
        mode=picture.mode,
        converted=picture.mode != "RGB" or "transparency" in picture.info,
    )


def _turn(picture: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; damaged metadata turn nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            turn = picture.getexif().get(ORIENTATION, 1)
            return int(turn) if turn in TURNS else 1
    except BROKEN:
        return 1


def _several_scans(data: bytes, *, large: bool) -> bool:
    """Return whether a large JPEG's pixels come in several scans; refuse too many of them."""
    if not large and data.count(b"\xff\xda") <= MOST_SCANS:
        return False
    at, scans, channels, several = 2, 0, 0, False
    for _ in range(MOST_SEGMENTS):
        found = SEGMENT.search(data, at)
        if found is None or found[0] == b"\xff\xd9":
            return several or scans > 1
        kind, at = found[0], found.end()
        if kind in FRAMES:
            channels, several = int.from_bytes(data[at + 7 : at + 8]), FRAMES[kind]
        elif kind == b"\xff\xda":
            several |= int.from_bytes(data[at + 2 : at + 3]) < channels
            scans += 1
            if scans > MOST_SCANS:
                raise PictureError("image.too_large", f"more than {MOST_SCANS} scans of a JPEG")
        at += int.from_bytes(data[at : at + 2])
    raise PictureError("image.too_large", f"more than {MOST_SEGMENTS} segments of a JPEG")


def _whole_jpeg(data: bytes, mode: str) -> np.ndarray | None:
    """Return the pixels of a JPEG as stored; None where Pillow has to say what they are.

    Pillow fills a picture that was cut and then closed with grey, and says nothing.
    """
    try:
        stored = simplejpeg.decode_jpeg(data, "CMYK" if mode == "CMYK" else "RGB")
    except ValueError as error:
        if "remature end" in str(error):
            raise PictureError("image.truncated", str(error)) from None
        return None  # rubbish between markers, which cameras leave: no damage
    return None if mode == "CMYK" else stored


def _pixels(picture: Image.Image) -> np.ndarray:
    """Return uint8 [H, W, 3], made a band of rows at a time."""
    width, height = picture.size
    out = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, BAND):
        below = min(top + BAND, height)
        out[top:below] = np.asarray(_rgb(picture.crop((0, top, width, below))))
    return out


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # Pillow would clip 16 bits at 255: a white picture
        deep = np.asarray(picture).astype(np.uint32)
        return Image.fromarray((deep // 257).clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        over = picture.convert("RGBA")
        white = Image.new("RGBA", over.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, over).convert("RGB")
    return picture.convert("RGB")


def upright(boxes_R4: np.ndarray, header: Header) -> np.ndarray:
    """Turn boxes float32 [R, 4] of the stored pixels into boxes of the upright picture."""
    x1, y1, x2, y2 = boxes_R4.reshape(-1, 4).T
    width, height = header.width, header.height  # upright
    left, right = (y1, y2) if header.turn in SWAPS else (x1, x2)
    top, bottom = (x1, x2) if header.turn in SWAPS else (y1, y2)
    if header.turn in (2, 3, 6, 7):
        left, right = width - right, width - left
    if header.turn in (3, 4, 7, 8):
        top, bottom = height - bottom, height - top
    return np.stack([left, top, right, bottom], 1).astype(np.float32)
