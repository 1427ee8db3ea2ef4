"""The set-up of a checkout, on the standard library alone."""
