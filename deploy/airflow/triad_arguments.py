"""Arguments that the DAGs pass on, built by pure functions that are tested without Airflow."""

from collections.abc import Mapping
from typing import Any


def score_arguments(date: str, settings: Mapping[str, str]) -> list[str]:
    """Returns the command-line arguments of `triad`.

    Args:
        date: Date as YYYY-MM-DD, or Airflow's template of it.
        settings: Values of `model`, `input` and `output`.
    """
    return [
        "score",
        f"--date={date}",
        f"--model={settings['model']}",
        f"--input={settings['input']}",
        f"--output={settings['output']}",
    ]


def flex_launch(date: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """Returns the body of the request that launches the Flex Template for a date.

    Args:
        date: Date as YYYY-MM-DD, or Airflow's template of it.
        settings: Values of `model`, `input`, `output`, `template` (path of the template's spec
            file), `worker_image`, `service_account` and `temp`.
    """
    return {
        "launchParameter": {
            "jobName": f"score-{date}",
            "containerSpecGcsPath": settings["template"],
            "parameters": {
                "date": date,
                "model": settings["model"],
                "input": settings["input"],
                "output": settings["output"],
                "sdk_container_image": settings["worker_image"],
            },
            "environment": {
                "tempLocation": settings["temp"],
                "serviceAccountEmail": settings["service_account"],
                "ipConfiguration": "WORKER_IP_PRIVATE",
            },
        }
    }
