"""What was seen, and when: recorded in the load processes, merged on the master."""
