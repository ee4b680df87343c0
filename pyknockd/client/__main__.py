"""``python3 -m pyknockd.client``."""

import sys

from pyknockd.client.command import main

if __name__ == "__main__":
    sys.exit(main())
