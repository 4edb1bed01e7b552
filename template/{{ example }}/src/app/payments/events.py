"""Understanding what the payment provider says."""

from typing import Any


def process_response(response: dict[str, Any]) -> str:
    """What a response of the provider means, in words."""
    match response:
        case {"status": "ok", "data": data}:
            return f"Success: {data}"
        case {"status": "error", "message": message}:
            return f"Error: {message}"
        case {"status": status} if status in ("pending", "processing"):
            return "In progress"
        case _:
            return "Unknown response"
