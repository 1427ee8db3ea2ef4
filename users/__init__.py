"""The load: one traffic pattern a file, on a base that measures, verifies and paces every call."""
