"""What the steps of a video's fit give, on the halved video first and without that, in groups of other lengths, with weights that count less,
without grids for what stands still, and with frames whose parts do not move or whose planes are no larger than so many times the frames.

    python -m tests.benchmarks.video_fit 'VIDEO#xywh=X,Y,W,H&frames=A:B'... [--steps 150,300] [--quality 50] [--halved no,yes] [--longest 32,128]
        [--counted 0,1] [--still 0,2] [--early no,yes] [--meshes no,yes,always] [--growth 2,4]

--longest: frames of a group at most. --counted: the share of the bits of weights that are differences from those of the first group that counts
while fitting. --still: the finest levels, so many, that have still grids. --early: whether the finest grid may be
silent from the first step of the whole on. Parts of videos are named as `i2c bench video` takes them. The loss is 1000 (D + lambda R) of the whole
file, the seconds are of the processor, one thread.
"""

import argparse
import math
import sys
import time
from itertools import product
from unittest.mock import patch

from i2compress import EncodeSettings, Signal, fit
from i2compress.bench.codec import Clip
from i2compress.bench.i2c import read_video
from i2compress.codec import encode
from i2compress.fit.schedule import Coarse
from i2compress.fit.silent import nearly_silent
from i2compress.kinds import Kind
from i2compress.media.video import camera, groups, parts
from i2compress.media.video.colour import Colour, of_planes
from i2compress.memory import keep_freed_memory
from i2compress.signal import Metadata

group = sys.modules["i2compress.media.video.group"]  # whose name the package has for something else


def signal_of(clip: Clip) -> Signal:
    """The clip as a source."""
    values = of_planes(list(clip.planes), 8, Colour.from_bytes(clip.colour))
    return Signal(values=values, kind=Kind.VIDEO, metadata=Metadata(colour=clip.colour), rate=clip.rate, rate_divisor=clip.rate_divisor)


def main() -> None:
    """Prints a line for each fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--steps", default="150,300")
    parser.add_argument("--quality", type=float, default=50.0)
    parser.add_argument("--halved", default="yes")
    parser.add_argument("--longest", default=str(groups.LONGEST))
    parser.add_argument("--counted", default=str(fit.COUNTED_FROM_BASE))
    parser.add_argument("--still", default=str(group.STILL_LEVELS))
    parser.add_argument("--early", default="yes")
    parser.add_argument("--meshes", default="yes")
    parser.add_argument("--growth", default=str(camera.MOST_GROWTH))
    options = parser.parse_args()
    keep_freed_memory()
    asked = (options.steps, options.halved, options.longest, options.counted, options.still, options.early, options.meshes, options.growth)
    kinds = [given.split(",") for given in asked]
    kinds_named = ["steps", "halved first", "frames of a group", "weights count", "still", "silent early", "meshes", "growth"]
    names = ["video", *kinds_named, "loss", "PSNR", "bytes", "CPU s"]
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for path in options.videos:
        signal = signal_of(read_video(path))
        for varied in product(*kinds):
            steps, halved, longest, counted, still, early, meshes, growth = varied
            settings = EncodeSettings(quality=options.quality, steps=int(steps), threads=1)
            began = time.process_time()
            halves = patch.object(Coarse, "pays", Coarse.pays if halved == "yes" else lambda *_: False)
            shares = patch.object(fit, "COUNTED_FROM_BASE", float(counted))
            moves = patch.object(group, "found_mesh", (lambda *_: None) if meshes == "no" else parts.found_mesh)
            leaves = patch.object(parts, "PAYS", math.inf if meshes == "always" else parts.PAYS)
            planes = patch.object(camera, "MOST_GROWTH", float(growth))
            stills = patch.object(group, "STILL_LEVELS", int(still))
            silent = patch.object(fit.stages, "nearly_silent", nearly_silent if early == "yes" else lambda *_: False)
            with halves, shares, stills, silent, moves, leaves, planes, patch.object(groups, "LONGEST", int(longest)):
                made = encode(signal, settings)
            figures = f"{1e3 * (made.loss or 0.0):.3f} | {made.psnr:.2f} | {len(made.data)} | {time.process_time() - began:.0f}"
            print(" | ".join([f"| {path.rpartition('/')[2]}", *varied, f"{figures} |"]), flush=True)


if __name__ == "__main__":
    main()
