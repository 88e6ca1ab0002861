"""The connection page of a real Airflow 3.3: what it shows for the type ``astro``."""

from __future__ import annotations

import requests


def test_a_deployment_url_a_token_and_no_fields_that_mean_nothing(world):
    deployment = world.triggering
    answer = requests.get(
        f"{deployment.url}/ui/connections/hook_meta",
        headers={"Authorization": deployment.authorization()},
        timeout=30,
    ).json()

    (form,) = [form for form in answer if form["connection_type"] == "astro"]
    fields = form["standard_fields"]
    assert form["hook_name"] == "Astro"
    assert (fields["host"]["title"], fields["password"]["title"]) == ("Deployment URL", "API token")
    assert [name for name in fields if fields[name] and fields[name]["hidden"]] == ["url_schema", "port", "login"]
