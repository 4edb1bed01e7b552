"""Profiles: what this service keeps of its users beside their accounts."""
