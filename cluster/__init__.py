"""Where nodes come from: embedded.py starts real servers, external.py takes given ones."""
