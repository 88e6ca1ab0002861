"""A module of the project, which workers and triggerers can import."""


def has_value(response):
    return "value" in response
