"""Interpretation of the payment provider's responses."""

from typing import Any


def process_response(response: dict[str, Any]) -> str:
    """Return the meaning of a response as text."""
    match response:
        case {"status": "ok", "data": data}:
            return f"Success: {data}"
        case {"status": "error", "message": message}:
            return f"Error: {message}"
        case {"status": status} if status in ("pending", "processing"):
            return "In progress"
        case _:
            return "Unknown response"
