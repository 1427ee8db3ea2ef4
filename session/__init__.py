"""One run, composed: what the master does, what a worker does, and the messages between them."""
