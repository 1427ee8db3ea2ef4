"""Small processes of our own that lean on one node while a fault lasts.

Each is run by file path with the standard library alone, is tied to the harness by a pipe and ends
by itself when that ends or when its time is over; so none of them can outlive a killed harness.
"""
