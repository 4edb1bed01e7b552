"""Profiles: personal data of users, in addition to their accounts."""
