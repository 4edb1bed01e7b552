"""The server: uvicorn with limits for slow clients, and a drain before it stops."""
