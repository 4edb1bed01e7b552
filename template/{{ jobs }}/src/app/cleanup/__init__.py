"""What the service throws away by itself."""
