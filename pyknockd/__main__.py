"""``python3 -m pyknockd``: the daemon, from a checkout."""

import sys

from pyknockd.cli import main

if __name__ == "__main__":
    sys.exit(main())
