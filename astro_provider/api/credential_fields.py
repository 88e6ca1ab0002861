"""The fields of an Airflow connection that credentials are read from, and the errors about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from astro_provider.api.errors import ConnectionConfigError
from astro_provider.api.headers import header_problem, header_text

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class CredentialFields:
    """
    The fields of an Airflow connection that credentials are read from.

    :param conn_id: id of the connection
    :param login: the Login field
    :param password: the Password field
    :param extra: the Extra field as a dict
    """

    conn_id: str
    login: str | None
    password: str | None = field(repr=False)
    extra: Mapping[str, Any] = field(repr=False)

    def error(self, field_name: str, problem: str) -> ConnectionConfigError:
        """
        Make the error for a field that cannot be used.

        :param field_name: the field as the connection form names it, e.g. ``Host`` or ``Extra "api_version"``
        :param problem: what is wrong and what is expected
        """
        return ConnectionConfigError(self.conn_id, field_name, problem)

    def text(self, key: str) -> str | None:
        """
        Return the string at a key of Extra.

        :param key: the key
        :return: the string; ``None`` if the key is missing or null
        :raise ConnectionConfigError: the value is not a string
        """
        value = self.extra.get(key)
        if value is not None and not isinstance(value, str):
            raise self.error(f'Extra "{key}"', f"expected a text, got {type(value).__name__}")
        return value

    def header(self, field_name: str, value: object, name: str = "Authorization") -> str:
        """
        Return a value of the connection as the value of an HTTP header.

        :param field_name: the field that it comes from, for the error
        :param value: the value; a number is converted to text
        :param name: name of the header
        :raise ConnectionConfigError: the header cannot be sent, see :func:`~astro_provider.api.headers.header_problem`
        """
        if problem := header_problem(name, value):
            raise self.error(field_name, problem)
        return header_text(value)
