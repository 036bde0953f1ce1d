"""Entry point of `python -m triad_ml.pipelines.cli`."""

import sys

from triad_ml.pipelines.cli.main import main

sys.exit(main())
