"""What can break a node, one backend a file, all behind the protocol of base.py."""
