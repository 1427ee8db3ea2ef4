"""Print the table of bad states: `python -m tests.integration.client.bad_states [ROW ...]`.

Every row is provoked now, with a line for each client: the default one, the broken twins,
pymemcache's. Rows are chosen by a part of their name. Exit code 1 when the default client is not
clean or a twin is not caught.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402  (patched first: the detectors kill greenlets)
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402

from client import build  # noqa: E402
from tests.integration.client.bad_states.lab import Lab, Make  # noqa: E402
from tests.integration.client.bad_states.rows import ROWS, Row  # noqa: E402


def contenders(row: Row) -> Iterator[tuple[str, Make, bool | None]]:
    """Give who is held against a row: name, factory, and whether it must be clean."""
    yield "default", build, True
    for name, make in row.twins.items():
        yield f"twin: {name}", make, False
    for name, make in row.survivors.items():
        yield f"twin: {name}", make, True
    for make, _ in row.pymemcache.items():
        yield f"pymemcache {make.__name__}", make, None


def main() -> int:
    """Run the rows asked for and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help="parts of row names; all rows without any")
    asked = parser.parse_args().rows
    wrong = 0
    lab = Lab()
    try:
        for row in ROWS:
            if asked and not any(part in row.name for part in asked):
                continue
            sys.stdout.write(f"\n{row.name} ({row.trigger})\n")
            for name, make, must_be_clean in contenders(row):
                started = time.monotonic()
                seen = row.detect(lab, make)
                unexpected = must_be_clean is not None and (seen.bad == 0) != must_be_clean
                wrong += unexpected
                mark = "UNEXPECTED" if unexpected else "clean" if seen.bad == 0 else "bad"
                took = time.monotonic() - started
                sys.stdout.write(f"  {mark:10} {name:44} {seen}  [{took:.1f} s]\n")
                sys.stdout.flush()
    finally:
        lab.stop()
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
