"""HTTP: application, middleware, errors, OpenAPI document, rate limits."""
