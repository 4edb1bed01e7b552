"""Check of the address and port that the service listens on."""

import os
import socket

from app.core.config import ConfigError, Settings


def require_port(settings: Settings) -> str:
    """Return the URL of the service for a browser. Raise ConfigError when the service cannot listen on HOST and PORT.

    The servers report this error too late: after their start, with a stack trace. Or they share the port with another
    server without an error.
    """
    host, port = settings.host, settings.port
    try:
        [(family, *_), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise ConfigError(f"Cannot listen on HOST={host} PORT={port}: {reason}. Set another HOST or PORT.") from None
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
