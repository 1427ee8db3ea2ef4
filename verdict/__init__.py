"""Timeline and journal in, verdict out: pure functions, no clock, no I/O."""
