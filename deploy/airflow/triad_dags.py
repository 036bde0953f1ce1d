"""Two nightly DAGs: one on Dataflow by the Flex Template, one in a pod.

Copy this folder to Airflow's folder of DAGs. The settings are in the Airflow variable `triad`, as
JSON.
"""

import datetime

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.google.cloud.operators.dataflow import DataflowStartFlexTemplateOperator
from airflow.sdk import DAG, Variable
from triad_arguments import flex_launch, score_arguments

DATE = "{{ ds }}"  # date of the schedule, so that a repeated run scores the same date
NIGHTLY = {
    "schedule": "15 2 * * *",
    "start_date": datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC),
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {"retries": 2, "retry_delay": datetime.timedelta(minutes=15)},
}
SETTINGS = Variable.get("triad", deserialize_json=True)

with DAG("triad_on_dataflow", **NIGHTLY):
    DataflowStartFlexTemplateOperator(
        task_id="score",
        project_id=SETTINGS["project"],
        location=SETTINGS["region"],
        body=flex_launch(DATE, SETTINGS),
        wait_until_finished=True,
    )

with DAG("triad_in_a_pod", **NIGHTLY):
    KubernetesPodOperator(
        task_id="score",
        image=SETTINGS["driver_image"],
        arguments=score_arguments(DATE, SETTINGS),
        service_account_name="triad",
        on_finish_action="delete_succeeded_pod",
    )
