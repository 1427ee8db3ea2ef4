"""What no Dockerfile and no Compose file here may say: `python -m scripts.compose_policies`.

Read as text, without Docker, so that `make check` finds a mistake on a machine that has none.
Variables count with their defaults: what is judged is what a plain `docker compose up` would do.
Each violation is one line that names file, place and way out. A file that may break a rule says
so by `x-allows: {rule: reason}` at its top; only the rules of `EXCUSABLE` can be excused.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from scripts.dockerfile_policies import Dockerfile

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = ("127.0.0.1", "[::1]", "::1")
ROOT_USERS = ("", "0", "root")
EXCUSABLE = ("engine-socket", "shared-processes")
_VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}|\$(\w+)")
_TAG = re.compile(r"[^/]:([\w][\w.-]*)$")

Service = Mapping[str, Any]


def main(arguments: Sequence[str] = ()) -> int:
    """Judge the files that are named, or those of the checkout; print what is wrong."""
    named = [Path(name) for name in arguments]
    files = named or [ROOT / "Dockerfile", *sorted(ROOT.glob("docker-compose*.yml"))]
    problems: list[str] = []
    for path in files:
        try:
            problems += judge_file(path)
        except (OSError, yaml.YAMLError) as error:
            problems.append(f"{path.name}: cannot be read: {' '.join(str(error).split())}")
    for problem in problems:
        sys.stderr.write(f"policy: {problem}\n")
    return 1 if problems else 0


def judge_file(path: Path) -> list[str]:
    """Give every violation of one Dockerfile or Compose file."""
    text = path.read_text(encoding="utf-8")
    if not path.suffix.startswith(".y"):
        return [f"{path.name}: {line}" for line in Dockerfile(text).problems()]
    document = yaml.safe_load(text) or {}
    return [f"{path.name}: {line}" for line in judge_compose(document, path.parent)]


def judge_compose(document: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Give the violations of a Compose file whose build contexts lie in `folder`."""
    excused = set(document.get("x-allows") or {}) & set(EXCUSABLE)
    is_override = bool(document.get("x-override"))
    for name, service in (document.get("services") or {}).items():
        rules = [*_always(service, excused)]
        if not is_override:  # the file it is laid over says the rest
            rules += _whole(service, _built(service, folder))
        for line in rules:
            yield f"service {name}: {line}"


def with_defaults(value: object) -> str:
    """Give a text with its variables replaced by their defaults, "" where there is none."""
    return _VARIABLE.sub(lambda found: found[2] or "", str(value)).strip()


def _always(service: Service, excused: set[str]) -> Iterator[str]:
    """Give what is wrong wherever it stands, in an override too."""
    if "image" in service and not _is_pinned(with_defaults(service["image"])):
        yield f"image {service['image']} is not pinned: give a tag other than latest"
    if "user" in service and _is_root(service["user"]):
        yield "runs as root: give a user other than 0"
    for port in service.get("ports") or ():
        if not _is_on_loopback(port):
            yield f"port {_spell(port)} is published on all addresses: put 127.0.0.1: before it"
    if service.get("privileged"):
        yield "is privileged: leave it out, or name the capability it needs"
    for kind in ("network_mode", "pid", "ipc", "userns_mode"):
        shared = str(service.get(kind) or "")
        allowed = kind == "pid" and "shared-processes" in excused and shared != "host"
        if (shared == "host" or shared.startswith(("service:", "container:"))) and not allowed:
            yield f"{kind} {shared} shares what a container keeps to itself: leave it out"
    if "engine-socket" not in excused:
        for volume in service.get("volumes") or ():
            if "docker.sock" in str(volume):
                yield "has the engine's socket, which is root on the machine: leave it out"


def _whole(service: Service, built: Dockerfile | None) -> Iterator[str]:
    """Give what a service lacks."""
    if "user" not in service and not (built and built.runs_as_other):
        yield "runs as root, or as whom its image says: give a user other than 0"
    if "ALL" not in (service.get("cap_drop") or ()):
        yield "keeps capabilities: add cap_drop: [ALL]"
    if not any("no-new-privileges" in option for option in service.get("security_opt") or ()):
        yield "may gain privileges: add security_opt: [no-new-privileges:true]"
    if not service.get("read_only"):
        yield "can write its root file system: add read_only: true"
    limits = ((service.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    for limit in ("memory", "cpus"):
        if limit not in limits:
            yield f"has no limit of {limit}: add it under deploy.resources.limits"
    if not service.get("healthcheck") and not (built and built.has_health_check):
        yield "has no health check: add one"
    if "restart" not in service:
        yield "does not say whether it is restarted: add restart"
    needed = service.get("depends_on") or {}
    for other in needed:
        if not isinstance(needed, Mapping) or "condition" not in needed[other]:
            yield f"depends on {other} without a condition: add condition: service_healthy"


def _built(service: Service, folder: Path) -> Dockerfile | None:
    build = service.get("build")
    if build is None:
        return None
    details = build if isinstance(build, Mapping) else {"context": build}
    path = folder / with_defaults(details.get("context", "."))
    return Dockerfile((path / details.get("dockerfile", "Dockerfile")).read_text(encoding="utf-8"))


def _is_pinned(image: str) -> bool:
    tag = _TAG.search(image)
    return "@sha256:" in image or (tag is not None and tag[1] != "latest")


def _is_root(user: object) -> bool:
    return with_defaults(user).partition(":")[0] in ROOT_USERS


def _is_on_loopback(port: object) -> bool:
    if isinstance(port, Mapping):
        return with_defaults(port.get("host_ip", "")) in LOOPBACK
    text = with_defaults(port)
    return text.startswith(tuple(f"{host}:" for host in LOOPBACK))


def _spell(port: object) -> str:
    return str(port.get("target")) if isinstance(port, Mapping) else str(port)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
