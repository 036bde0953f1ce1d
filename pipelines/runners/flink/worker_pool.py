"""Pool that starts Beam's Python workers for a cluster; only processes of this machine can use it.

Beam's own pool (`apache_beam.runners.worker.worker_pool_main`, which its container starts with
`--worker_pool`) listens on every interface and runs code for any client.
"""

import logging
import signal
import sys

import grpc
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.utils import thread_pool_executor


def main() -> None:
    """Serves on 127.0.0.1 until SIGTERM.

    The arguments of the command line are the port and, in a container of Beam, the program that
    starts a worker with the files that a job staged.
    """
    port, *program = sys.argv[1:]
    logging.basicConfig(level=logging.INFO)
    server = grpc.server(thread_pool_executor.shared_unbounded_instance())
    pool = BeamFnExternalWorkerPoolServicer(True, program[0] if program else None)
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.add_insecure_port(f"127.0.0.1:{int(port)}")
    server.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop(0)


if __name__ == "__main__":
    main()
