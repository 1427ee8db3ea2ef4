"""The engine of memquake: what serves users, client and faults and is none of them."""

import os

# Also where the checkout is reached through a link: the others are imported from its real folder
# (own_modules), and whose code a frame is, is seen by its file.
__path__ = [os.path.realpath(folder) for folder in __path__]
