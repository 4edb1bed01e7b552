"""Lookups of text fields for constraints and queries: `name__length__range=(1, 200)`, `email__lower=…`."""

from django.db.models import TextField
from django.db.models.functions import Length, Lower

TextField.register_lookup(Length)
TextField.register_lookup(Lower)
