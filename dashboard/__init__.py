"""What people see while a run goes on: the web page and the terminal. Reads, never decides."""
