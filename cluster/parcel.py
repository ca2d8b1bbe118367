"""What a job takes along: the three packages and one resolved page, in a folder of their own.

A folder that is sent lies on the cluster for everyone there to read. So files come by a list of
suffixes, never by a list of what to leave out; what git ignores and links stay here.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("pipelines", "components", "cluster")
SENT = (".py", ".html", ".css", ".js")  # code, and the parts of the report
MOST_BYTES = 10 * 2**20
PAGE = "config.yaml"
ROOT = Path(__file__).parents[1]


class ParcelError(ValueError):
    """What would be sent cannot be sent; nothing was."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """Files by their name in the job's folder, read once: what has a digest is what is sent."""

    files: Mapping[str, bytes]

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(map(len, self.files.values()))

    @property
    def digest(self) -> str:
        """Return the sha256 over names and contents, in order."""
        whole = sha256()
        for name, data in sorted(self.files.items()):
            whole.update(f"{name}\0{len(data)}\0".encode())
            whole.update(data)
        return whole.hexdigest()

    def listing(self) -> list[str]:
        """Return one line a file, and one for the sum."""
        lines = [f"{len(data):>9,}  {name}" for name, data in sorted(self.files.items())]
        return [*lines, f"{self.size:>9,}  bytes in {len(self.files)} files"]

    def unpack(self, folder: Path) -> None:
        """Write all files below an empty folder."""
        for name, data in self.files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)


def pack(page: str, *, root: Path = ROOT) -> Parcel:
    """Return the three packages below `root`, the page, and the version they go by.

    Raises:
        ParcelError: more than MOST_BYTES, or a package is not there.
    """
    files: dict[str, bytes] = {}
    for name in _tracked(root) or _walked(root):
        place = root / name
        if place.suffix in SENT and not _linked(place, root) and place.is_file():
            files[name] = place.read_bytes()
    for package in PACKAGES:
        if f"{package}/__init__.py" not in files:
            raise ParcelError(f"{root}: must hold {package}/; got none. Run it from the checkout.")
    number = version("vocabox")  # the run writes it down; a cluster need not have us installed
    about = f"Metadata-Version: 2.1\nName: vocabox\nVersion: {number}\n"
    files[f"vocabox-{number}.dist-info/METADATA"] = about.encode()
    files[PAGE] = page.encode()
    parcel = Parcel(files=files)
    if parcel.size > MOST_BYTES:
        most = sorted(files, key=lambda name: len(files[name]))[-3:]
        raise ParcelError(
            f"{root}: at most {MOST_BYTES:,} bytes are sent; got {parcel.size:,}, most of them in "
            f"{', '.join(most)}. Take large files out of the packages."
        )
    return parcel


def _tracked(root: Path) -> list[str]:
    """List the files of the packages that git knows or would take; empty where there is no git."""
    if not (root / ".git").exists():
        return []
    asked = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run([*asked, "--", *PACKAGES], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [name.decode() for name in done.stdout.split(b"\0") if name]


def _walked(root: Path) -> list[str]:
    places = (place for package in PACKAGES for place in (root / package).rglob("*"))
    return [str(p.relative_to(root)) for p in places if "__pycache__" not in p.parts]


def _linked(place: Path, root: Path) -> bool:
    between = [place, *place.parents]
    return any(part.is_symlink() for part in between[: between.index(root)])
