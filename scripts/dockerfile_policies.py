"""A Dockerfile as far as rules are about it: stages, user, health check, and how things start.

Only the last stage becomes an image; what stages before it start or run as is nobody's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TAG = re.compile(r"[^/]:([\w][\w.-]*)$")
_FROM = re.compile(r"(?:--platform=\S+\s+)?(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_COMPILERS = re.compile(r"\b(gcc|g\+\+|clang|build-essential|make|cmake|cargo|rustc)\b")


class Dockerfile:
    """The text of a Dockerfile, cut into instructions."""

    def __init__(self, text: str) -> None:
        self.instructions = list(_instructions(text))
        self.stages: list[tuple[str, str]] = []  # (image, name)
        last = 0
        for index, (word, rest) in enumerate(self.instructions):
            if word == "FROM" and (found := _FROM.match(rest)):
                self.stages.append((found[1], found[2] or ""))
                last = index
        self.final = self.instructions[last:]

    @property
    def runs_as_other(self) -> bool:
        """Whether the image says that it runs as somebody other than root, by number.

        A name proves nothing to Kubernetes, which cannot read the image's /etc/passwd.
        """
        users = [rest for word, rest in self.final if word == "USER"]
        return bool(users) and bool(re.fullmatch(r"[1-9]\d*(:\d+)?", users[-1]))

    @property
    def has_health_check(self) -> bool:
        """Whether the image knows how to tell that it is in order."""
        return any(word == "HEALTHCHECK" and rest != "NONE" for word, rest in self.final)

    def problems(self) -> Iterator[str]:
        """Give every violation, one line each."""
        names = {name for _, name in self.stages if name}
        for image, _ in self.stages:
            tag = _TAG.search(image)
            pinned = "@sha256:" in image or (tag is not None and tag[1] != "latest")
            if image not in names and image != "scratch" and not pinned:
                yield f"FROM {image} is not pinned: give a tag other than latest"
        if not self.runs_as_other:
            yield "the image runs as root, or as a name: end it with USER and a number above 0"
        if not self.has_health_check:
            yield "the image has no HEALTHCHECK: add one"
        if not any(word == "ENTRYPOINT" for word, _ in self.final):
            yield "the image has no ENTRYPOINT: add one"
        for word, rest in self.final:
            command = rest.partition("CMD")[2].strip() if word == "HEALTHCHECK" else rest
            if word in ("ENTRYPOINT", "CMD", "HEALTHCHECK") and not command.startswith("["):
                yield f"{word} starts a shell, which keeps signals to itself: write it as a list"
            if word == "RUN" and (compiler := _COMPILERS.search(rest)):
                yield f"{compiler[1]} is left in the image: install it in a stage before the last"
            if word == "ADD":
                yield "ADD may fetch and unpack: use COPY"


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """Give (word, rest) of each instruction, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\s*\n", " ", "\n".join(lines)).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word:
            yield word.upper(), " ".join(rest.split())
