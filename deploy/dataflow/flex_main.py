"""Entry point of the Flex Template, which Dataflow's launcher runs."""

import sys

from triad_ml.pipelines.cli.flex_template import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
