"""The connection form of a real Airflow 3.3 shows the fields of the connection type ``astro``, and no others."""

from __future__ import annotations

import requests


def test_form_shows_deployment_url_and_token_and_hides_unused_fields(deployments):
    deployment = deployments.triggering
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
