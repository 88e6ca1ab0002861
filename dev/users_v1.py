"""
Create the users of an Airflow 2 deployment; runs in the Python environment of the deployment.

    python users_v1.py NAME:ROLE [NAME:ROLE ...]

`airflow users create` creates only one user and loads all of Airflow each time.
"""

from __future__ import annotations

import sys

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder


def main() -> None:
    with get_application_builder() as builder:
        security = builder.sm
        security.sync_roles()
        for name, role in (argument.split(":") for argument in sys.argv[1:]):
            found = security.find_role(role.capitalize())
            if not security.add_user(name, name, name, f"{name}@example.com", found, name):
                sys.exit(f"The user {name} could not be created")


if __name__ == "__main__":
    main()
