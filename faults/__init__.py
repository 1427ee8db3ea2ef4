"""Faults: a scenario becomes a plan, a driver carries it out, a journal tells what was done."""
