"""i2c as an executable, with the fake kind of media in the place of pictures: python tests/cli/fake_i2c.py encode ...

Worker processes import this file too, and so have the same. Environment: FAKE_SECONDS, how long each of the three steps of an encode
takes; FAKE_DEATHS, a folder in which an encode of a picture 13 pixels wide, and no other, leaves a file and kills its process, up
to FAKE_DEATHS_MOST times.
"""

import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cli_fakes import FakeMedium

from i2compress import cli
from i2compress.cli import run
from i2compress.config import EncodeSettings
from i2compress.kinds import Kind
from i2compress.media import MEDIA, Source
from i2compress.media.protocol import Coded, Hooks


class SlowMedium(FakeMedium):
    """Takes its time, and dies where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.during = lambda: time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))

    def encode(self, source: Source, settings: EncodeSettings, hooks: Hooks) -> Coded:
        """See FakeMedium."""
        folder = os.environ.get("FAKE_DEATHS")
        if folder and source.layout.grid[1] == 13 and len(os.listdir(folder)) < int(os.environ.get("FAKE_DEATHS_MOST", "1")):
            Path(folder, str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(source, settings, hooks)


run.cores = lambda: 2  # two processes at once, wherever the tests run
MEDIA[Kind.IMAGE] = SlowMedium()  # type: ignore[assignment]  # it has the names of a medium

if __name__ == "__main__":
    sys.exit(cli.main())
