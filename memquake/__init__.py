"""The engine of memquake: what serves users, client and faults and is none of them."""
