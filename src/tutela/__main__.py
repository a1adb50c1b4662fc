"""`python -m tutela`."""

import sys

from tutela.cli import main

if __name__ == "__main__":
    sys.exit(main())
