"""Program that runs a staged pipeline in a clean interpreter that has only the wheel."""

import sys
from pathlib import Path

import apache_beam.internal.gcp.auth
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

apache_beam.internal.gcp.auth._Credentials._credentials_init = True  # nobody to ask here


def main(path: str) -> None:
    import triad_ml

    print("packages", Path(triad_ml.__file__).parents[1])
    proto = beam_runner_api_pb2.Pipeline.FromString(Path(path).read_bytes())
    for environment in proto.components.environments.values():
        environment.urn = "beam:env:embedded_python:v1"
        environment.payload = b""
        del environment.dependencies[:]
    assert common_urns.environments.DOCKER.urn not in str(proto.components.environments)
    result = FnApiRunner().run_via_runner_api(proto, PipelineOptions([]))
    result.wait_until_finish()


if __name__ == "__main__":
    main(sys.argv[1])
