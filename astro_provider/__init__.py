"""
Trigger, pause and wait for DAGs in another Airflow Deployment.

Airflow imports this package at start-up for the metadata of the provider, so it imports nothing else.
"""

from __future__ import annotations

__version__ = "0.1.0"

CONNECTION_FORM: dict[str, dict[str, str] | list[str]] = {
    "hidden-fields": ["schema", "port", "login"],
    "relabeling": {"host": "Deployment URL", "password": "API token"},
    "placeholders": {
        "host": "https://clq52.astronomer.run/dz3uu847",
        "password": "a Deployment, Workspace or Organization API token",
        "extra": '{"timeout": 60}',
    },
}
"""The form of connection type ``astro``: Deployment URL, API token, and Extra for all other options."""


def get_provider_info() -> dict[str, object]:
    """
    Return the metadata of the provider (the ``apache_airflow_provider`` entry point).

    :return: a dict as Airflow's ``provider_info.schema.json`` describes it
    """
    return {
        "package-name": "airflow-provider-astro",
        "name": "Astro",
        "description": "Trigger, pause and wait for DAGs in another Airflow Deployment, on Astro or anywhere.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": "Astro",
                "external-doc-url": "https://www.astronomer.io/docs/astro/airflow-api",
                "tags": ["service"],
            }
        ],
        "operators": [
            {
                "integration-name": "Astro",
                "python-modules": [
                    "astro_provider.operators.api",
                    "astro_provider.operators.backfill",
                    "astro_provider.operators.clear",
                    "astro_provider.operators.dag",
                    "astro_provider.operators.dag_run",
                ],
            }
        ],
        "sensors": [
            {
                "integration-name": "Astro",
                "python-modules": [
                    "astro_provider.sensors.api",
                    "astro_provider.sensors.dag_run",
                    "astro_provider.sensors.task",
                ],
            }
        ],
        "hooks": [{"integration-name": "Astro", "python-modules": ["astro_provider.hooks.astro"]}],
        "triggers": [
            {
                "integration-name": "Astro",
                "python-modules": [
                    "astro_provider.triggers.api",
                    "astro_provider.triggers.backfill",
                    "astro_provider.triggers.dag_run",
                    "astro_provider.triggers.sensor",
                    "astro_provider.triggers.trigger_dag_run",
                ],
            },
        ],
        "connection-types": [
            {
                "hook-class-name": "astro_provider.hooks.astro.AstroHook",
                "hook-name": "Astro",
                "connection-type": "astro",
                # Airflow 3.2 and later read the form from here, earlier versions from the hook.
                "ui-field-behaviour": CONNECTION_FORM,
            }
        ],
        "notifications": ["astro_provider.notifications.dag_run.AstroTriggerDagRunNotifier"],
        "extra-links": ["astro_provider.links.RemoteDagRunLink", "astro_provider.links.RemoteBackfillLink"],
    }
