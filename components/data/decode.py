"""The one door for pictures: bytes in, upright RGB out, limits before anything is allocated."""

import contextlib
import io
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
ORIENTATION = 0x0112  # EXIF tag
TURNS = {  # its values that turn, and what makes the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SWAPS = (5, 6, 7, 8)  # width and height change places
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

    @property
    def turned(self) -> bool:
        """Return whether the stored picture is not upright."""
        return self.turn != 1


def picture_bytes(path: Path) -> bytes:
    """Read a picture's file; raise PictureError where there is none of a size we read."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise PictureError("file.unreadable", "not a file")
        if about.st_size > MOST_BYTES:
            raise PictureError("image.too_large", f"{about.st_size} bytes; at most {MOST_BYTES}")
        return path.read_bytes()
    except FileNotFoundError:
        raise PictureError("image.missing", "no such file in the folder of images") from None
    except OSError as error:
        raise PictureError("file.unreadable", error.strerror or str(error)) from None


def look(data: bytes) -> Header:
    """Read a picture's header and hold it against the limits; no pixel is decoded.

    Raises:
        PictureError: not a picture we read, too large, of several frames.
    """
    if len(data) > MOST_BYTES:
        raise PictureError("image.too_large", f"{len(data)} bytes; at most {MOST_BYTES}")
    with _opened(data) as picture:
        return _header(picture)


def decode(data: bytes) -> np.ndarray:
    """Return uint8 [H, W, 3], upright RGB.

    16-bit grey is scaled to 8 bits, alpha is laid on white, EXIF turns are applied.

    Raises:
        PictureError: as `look`, and where the pixels are cut short or damaged.
    """
    if len(data) > MOST_BYTES:
        raise PictureError("image.too_large", f"{len(data)} bytes; at most {MOST_BYTES}")
    with _opened(data) as picture:
        header = _header(picture)
        if header.format == "JPEG" and picture.mode in ("RGB", "L") and not header.turned:
            with contextlib.suppress(ValueError):  # stricter than Pillow, whose pixels are equal
                return simplejpeg.decode_jpeg(data, "RGB")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of Pillow, on odd metadata
                return np.asarray(_rgb(picture, header.turn))
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
        raise PictureError("image.too_large", str(error)) from None
    except BROKEN as error:
        raise PictureError("image.undecodable", str(error)) from None


def _header(picture: Image.Image) -> Header:
    width, height = picture.size
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise PictureError("image.too_large", f"{width} x {height} pixels")
    many = picture.format == "MPO"  # a JPEG with previews behind it, as telephones write
    if not many and getattr(picture, "n_frames", 1) > 1:
        raise PictureError("image.animated", "more than one frame")
    turn = _turn(picture)
    return Header(
        format="JPEG" if many else str(picture.format),
        width=height if turn in SWAPS else width,
        height=width if turn in SWAPS else height,
        turn=turn,
        mode=picture.mode,
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


def _rgb(picture: Image.Image, turn: int) -> Image.Image:
    if turn in TURNS:
        picture = picture.transpose(TURNS[turn])
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
