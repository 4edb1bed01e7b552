"""The port that the service listens on."""

import os
import socket

from app.core.config import ConfigError, Settings


def require_port(settings: Settings) -> str:
    """Return the address to type into a browser. ConfigError when the service cannot listen there.

    The servers say so too, but only after their start, with a stack trace or beside a second server on the same port.
    """
    host, port = settings.host, settings.port
    try:
        [(family, *_), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise ConfigError(f"HOST={host} PORT={port} cannot be listened on: {reason}. Set others.") from None
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
