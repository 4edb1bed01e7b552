"""The web framework: application, middleware, errors, documents, limits."""
