"""Profiles: what this service knows of its users beside their accounts."""
