"""`python -m triad_ml.pipelines.cli` runs the command line."""

import sys

from triad_ml.pipelines.cli.main import main

sys.exit(main())
