"""`foliotrace serve`."""

import click

from foliotrace_server.cli.command import Command, shared
from foliotrace_server.cli.failures import explained
from foliotrace_server.cli.session import Options


@click.command(cls=Command)
@click.option("--host", help="Address to bind.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to bind; 0 takes a free one.")
@shared
@explained
def serve(options: Options, host: str | None, port: int | None) -> None:
    """Serve the REST API and the llama-agents protocol until stopped.

    Examples:
      foliotrace serve
      foliotrace --data-dir /var/lib/foliotrace serve --port 9000
    """
    from foliotrace_server.logging import set_up_logging
    from foliotrace_server.serve import serve as serve_until_stopped

    given = {"host": host, "port": port}
    settings = options.settings()
    changed = {name: value for name, value in given.items() if value is not None}
    settings = settings.model_copy(
        update={"server": settings.server.model_copy(update=changed)} if changed else {}
    )
    set_up_logging(settings.log.level, settings.log.format)
    serve_until_stopped(settings)
