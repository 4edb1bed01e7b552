"""E-mail that the service sends."""

from app.mail import jobs as jobs  # which wait for what other slices do
