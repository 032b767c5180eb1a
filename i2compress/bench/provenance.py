"""Where numbers come from: command, commit, machine, versions, date."""

import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..processes import cores

_PACKAGES = ("i2compress", "numpy", "torch", "pillow", "pillow-jxl-plugin", "pytorch-msssim", "ssimulacra2", "bjontegaard")


@cache
def machine() -> str:
    """CPU model and the cores this process may use."""
    count = cores()
    return f"{_cpu()}, {count} core{'s' if count > 1 else ''}, {platform.system()}"


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


@cache
def commit() -> str | None:
    """The commit of the checkout that this package lies in, "+" added where files differ from it; None outside of one."""
    folder = Path(__file__).parent
    head = _git(folder, "rev-parse", "--short=12", "HEAD")
    tracked = _git(folder, "ls-files", "--error-unmatch", __file__)
    if not head or not tracked:  # a virtual environment may lie inside somebody else's checkout
        return None
    return head + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no", "--", "..") else "")


def _git(folder: Path, *args: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *args], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@cache
def versions() -> dict[str, str]:
    """Python and the packages that shape the numbers."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def origin() -> dict[str, str | int | None]:
    """Where one point comes from: machine, commit, and when."""
    return {"machine": machine(), "commit": commit(), "date": datetime.now(timezone.utc).isoformat(timespec="seconds")}


def metadata() -> dict[str, object]:
    """Where a whole run comes from: the exact command too, and all versions."""
    return {"command": command(), **origin(), "versions": versions()}


def command() -> str:
    """The command line as it was typed, the program by its bare name."""
    return shlex.join(["i2c" if Path(sys.argv[0]).name in ("i2c", "__main__.py") else Path(sys.argv[0]).name, *sys.argv[1:]])
