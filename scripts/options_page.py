"""docs/options.md, written and checked: `python -m scripts.options_page [--check]`.

With `--check` nothing is written; a page that is not what the options themselves give is one line
and exit code 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

from memquake.paths import DOCS
from session.option_tables import options_page

PAGE = DOCS / "options.md"


def main(words: list[str], page: Path = PAGE) -> int:
    """Write the page, or look whether it is as it should be; return the exit code."""
    wanted = options_page()
    if "--check" not in words:
        page.write_text(wanted, encoding="utf-8")
        return 0
    if page.is_file() and page.read_text(encoding="utf-8") == wanted:
        return 0
    sys.stderr.write(f"docs/{page.name} is not what the options give: run `make docs`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
