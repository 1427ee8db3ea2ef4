"""`python -m memquake`: run (memquake.launch), or judge a run again (memquake.judge)."""

from __future__ import annotations

import sys

from memquake.own_modules import OWN

with OWN.importing():
    if sys.argv[1:2] == ["judge"]:  # needs no Locust, whose import takes longer than the judging
        from memquake.judge import main
    else:
        from memquake.launch import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
