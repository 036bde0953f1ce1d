"""What the DAGs hand over: pure functions, so that they can be tested without Airflow."""

from collections.abc import Mapping
from typing import Any


def score_arguments(date: str, settings: Mapping[str, str]) -> list[str]:
    """The arguments of `triad`.

    Args:
        date: YYYY-MM-DD, or Airflow's template of it.
        settings: `model`, `input` and `output`.
    """
    return [
        "score",
        f"--date={date}",
        f"--model={settings['model']}",
        f"--input={settings['input']}",
        f"--output={settings['output']}",
    ]


def flex_launch(date: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """The body that launches the Flex Template for a date.

    Args:
        date: YYYY-MM-DD, or Airflow's template of it.
        settings: `model`, `input`, `output`, `template` (of the spec file), `worker_image`,
            `service_account` and `temp`.
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
