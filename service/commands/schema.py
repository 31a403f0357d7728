"""``airis schema``: the configuration as a JSON Schema."""

import typer


def schema() -> None:
    """Print a JSON Schema of the configuration, for editors.

    It has the components that are installed here. Write it beside the configuration, whose first line tells editors
    of it; they then complete it, and check it as it is typed:

    airis schema > airis.schema.json

    # yaml-language-server: $schema=airis.schema.json
    """
    from airis.config import schema
    from airis.service.render.yaml import to_json

    typer.echo(to_json(schema.schema()), nl=False)
