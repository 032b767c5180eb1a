"""python -m i2compress: the same as i2c."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
