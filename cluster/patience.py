"""A request to a service has a deadline and a few tries, with pauses of random length."""

import errno
import os
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cluster.store_errors import StorageError, StoreError

T = TypeVar("T")
SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "GOOGLE_TOKEN")
IN_TEXT = re.compile(
    r"(?<=://)[^/@\s]+(?=@)"  # user:password@
    r"|(?<=[?&])[^=&\s]*(?:signature|credential|token|key)[^=&\s]*=[^&\s\"']+"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b|\bBearer\s+\S+",
    re.IGNORECASE,
)
LONGEST = 300  # characters of a provider's words
FINAL = (
    StorageError, StoreError, FileNotFoundError, PermissionError, FileExistsError,
    IsADirectoryError, NotADirectoryError,
)  # fmt: skip
FINAL_ERRNO = (errno.ENOSYS, errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT, errno.EROFS)
FINAL_NAMES = (
    "NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "DefaultCredentialsError",
    "RefreshError", "ParamValidationError", "InvalidRegionError",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long a service is waited for, and how often it is asked."""

    tries: int = 5
    deadline_s: float = 30.0  # of one try
    rate: float = 256 * 1024  # bytes a second: what a slow line manages; adds to the deadline
    first_s: float = 0.2  # about, before the second try; doubles, up to 10 s
    sleep: Callable[[float], None] = time.sleep
    draw: Callable[[float, float], float] = random.uniform

    def seconds(self, size: int) -> float:
        """Return the deadline of one try that carries so many bytes."""
        return self.deadline_s + size / self.rate

    def insist(self, ask: Callable[[int], T], *, what: str) -> T:
        """Ask until there is an answer; `ask` gets the number of the try, from 0.

        Args:
            ask: asks once; what is absent or forbidden is an answer, and its error comes through.
            what: named when it fails.

        Raises:
            StorageError: no answer after all tries.
        """
        for number in range(self.tries):
            try:
                return ask(number)
            except Exception as error:
                if is_final(error):
                    raise
                if number + 1 == self.tries:
                    raise gave_up(error, what=what, tries=self.tries) from error
                self.sleep(min(10.0, self.first_s * 2**number) * self.draw(0.5, 1.5))
        raise AssertionError("no try was made")


def is_final(error: Exception) -> bool:
    """Say whether asking again cannot help."""
    if isinstance(error, FINAL) or type(error).__name__ in FINAL_NAMES:
        return True
    if isinstance(error, OSError) and (
        error.errno in FINAL_ERRNO or str(error).startswith("Forbidden")
    ):
        return True
    return not isinstance(error, OSError | RuntimeError) and type(error).__module__ == "builtins"


def gave_up(error: Exception, *, what: str, tries: int = 1) -> StorageError:
    """Return what a fault of a service is to a run, with the provider's words."""
    often = f" ({tries} tries)" if tries > 1 else ""
    return StorageError(
        error.errno if isinstance(error, OSError) and error.errno else errno.EIO,
        f"store: {what} cannot be read or written{often}; got '{words(error)}'. "
        "Look at the service and the network, and run the same command again",
    )


def words(error: BaseException) -> str:
    """Return a provider's words in one line, with everything that may be a secret masked."""
    text = " ".join(str(error).split()) or type(error).__name__
    for name in SECRETS:
        if len(secret := os.environ.get(name, "")) >= 4:
            text = text.replace(secret, "***")
    text = IN_TEXT.sub("***", text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
