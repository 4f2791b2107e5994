"""Files and folders that only their owner can use, for everything that driftwire creates by itself.

Records, logs and settings can contain personal data and secrets. The mode does not depend on the umask of the caller.
Files that a person requests, such as a review or a report, have the usual mode.
"""

import os
from pathlib import Path

FOLDER_MODE = 0o700
FILE_MODE = 0o600

UMASK = 0o077
"""Umask of child processes that write files."""


def make_private_folder(path: Path) -> None:
    """Create a folder and its missing parents, accessible only to the owner. Leave an existing folder unchanged.

    Raises
    ------
    OSError
        If the folder cannot be created, or if the path is a file.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        folder.chmod(FOLDER_MODE)
    if not path.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(path))


def write_private_file(path: Path, text: str) -> None:
    """Write a text file that only the owner can read, even if the file already exists with another mode.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, FILE_MODE)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  only os.open sets the mode at creation
        os.fchmod(descriptor, FILE_MODE)
        file.truncate()
        file.write(text)
