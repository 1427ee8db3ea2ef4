"""`python -m scripts.policies`: what the Dockerfile, the Compose files and k8s/ may say.

Compose files are read by Compose's own loader, k8s/ is rendered by kustomize; every object is held
against the schemas of the oldest and the newest Kubernetes that are supported. What this project
asks beyond that stands as data in policies.yaml; what relates several objects is here. One line for
each finding. Exit code 0, or 1 where anything is wrong; a tool that is missing leaves its files
unchecked, which is said, and is wrong in CI. What only an API server knows is for `make k8s-test`.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from memquake.paths import CHECKOUT, TOOLS
from scripts.tools import COMPOSE_GO, KUSTOMIZE, Tool

OLDEST, NEWEST = "1.29", "1.37"  # podFailurePolicy and endPort are older than both
LIMIT_S = 60.0
POLICIES = yaml.safe_load((CHECKOUT / "scripts" / "policies.yaml").read_text(encoding="utf-8"))
NAMES = {  # fields that name another object
    "configMap": ("ConfigMap", "name"),
    "configMapKeyRef": ("ConfigMap", "name"),
    "configMapRef": ("ConfigMap", "name"),
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
}

Object = Mapping[str, Any]


class PolicyError(Exception):
    """A file cannot be read; its text is what the tool that read it said, in one line."""


class MissingToolError(Exception):
    """A tool is not there; its text names what is not checked without it."""


def main() -> int:
    """Judge the files of the checkout and print what is wrong; return the exit code."""
    checks: Mapping[str, Callable[[Path], Iterator[str]]] = {
        "Dockerfile": lambda root: dockerfile_findings((root / "Dockerfile").read_text("utf-8")),
        "docker-compose.yml": compose_findings,
        "k8s": manifest_findings,
    }
    wrong = False
    for name, check in checks.items():
        try:
            for line in check(CHECKOUT):
                wrong = True
                sys.stderr.write(f"policy: {name}: {line}\n")
        except PolicyError as error:
            wrong = True
            sys.stderr.write(f"policy: {name}: {error}\n")
        except MissingToolError as error:
            wrong = wrong or bool(os.environ.get("CI"))
            sys.stderr.write(f"policy: {error}\n")
    return int(wrong)


def dockerfile_findings(text: str) -> Iterator[str]:
    """Yield what is wrong with a Dockerfile, a line each."""
    plain = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
    plain = re.sub(r"\s*\\\n\s*", " ", plain)
    rules = POLICIES["dockerfile"]
    for pattern, why in rules["never"].items():
        for found in re.finditer(f"{pattern}.*", plain, re.MULTILINE):
            yield f"{found[0]}: {why}"
    last = plain[plain.rindex("FROM ") :]
    for pattern, why in rules["last stage"].items():
        if not re.search(pattern, last, re.MULTILINE):
            yield f"the image {why}" if " image" not in why else why


def compose_findings(folder: Path) -> Iterator[str]:
    """Yield what is wrong with docker-compose.yml of a folder, alone and under each override.

    Raises PolicyError and MissingToolError.
    """
    file = folder / "docker-compose.yml"
    found: dict[str, None] = {}
    for files in ([file], *([file, more] for more in sorted(folder.glob("docker-compose.*.yml")))):
        # Without the caller's variables: what counts is what a plain `docker compose up` does.
        text = _run(COMPOSE_GO, "-format", "json", *map(str, files), folder=folder)
        for name, service in json.loads(text)["services"].items():
            found |= dict.fromkeys(f"{name}{line}" for line in _against("service", service))
    yield from found


def overlays(root: Path) -> list[Path]:
    """Return the base and every overlay of k8s/."""
    return [root / "k8s" / "base", *sorted((root / "k8s" / "overlays").iterdir())]


def render(folder: Path) -> list[dict[str, Any]]:
    """Return the objects of a kustomization. Raises PolicyError and MissingToolError."""
    return list(yaml.safe_load_all(_run(KUSTOMIZE, "build", str(folder), folder=folder)))


def manifest_findings(root: Path) -> Iterator[str]:
    """Yield what is wrong with the overlays of k8s/, a line each.

    Raises PolicyError and MissingToolError.
    """
    carried: set[str] = set()
    for folder in overlays(root):
        objects = render(folder)
        carried |= {key for body in objects for key in body.get("data") or ()}
        yield from (f"{folder.name}: {line}" for line in object_findings(objects))
    shown = root / "dashboard"
    for path in [*shown.glob("prometheus/rules/*.yml"), *shown.glob("grafana/dashboards/*.json")]:
        if path.name not in carried:
            yield f"{path.relative_to(root)} is in no ConfigMap: a cluster would lack it"


def object_findings(objects: Sequence[Object]) -> Iterator[str]:
    """Yield what is wrong with the objects of one rendering, a line each."""
    for body in objects:
        for line in (*_unknown_to_kubernetes(json.dumps(body)), *_against("object", body)):
            yield f"{_titled(body)}{line}"
    yield from _namespaces(objects)
    yield from _open_network(objects)
    yield from _dangling(objects)


def _against(name: str, thing: Object) -> Iterator[str]:
    """Yield `.path: message` for each breach of one of the schemas in policies.yaml."""
    schema = {"$ref": f"#/$defs/{name}", "$defs": POLICIES["$defs"]}
    for error in jsonschema.Draft202012Validator(schema).iter_errors(thing):
        why = error.schema.get("why")
        message = error.message if len(error.message) < 200 else f"breaks {error.validator}"
        if why and isinstance(error.instance, str):  # what a pattern says is no help
            message = error.instance[:60]
        yield f"{error.json_path[1:]}: {message}{f' ({why})' if why else ''}"


@functools.cache  # a schema is a megabyte, and most objects are in every overlay
def _unknown_to_kubernetes(text: str) -> tuple[str, ...]:
    """Return what the oldest and the newest Kubernetes refuse, unknown fields included."""
    found = []
    for version in (OLDEST, NEWEST):
        try:
            kubernetes_validate.validate(json.loads(text), version, strict=True)
        except (
            kubernetes_validate.ValidationError,
            kubernetes_validate.SchemaNotFoundError,
            kubernetes_validate.InvalidSchemaError,
        ) as error:
            path = "".join(f".{step}" for step in getattr(error, "path", ()))
            found.append(f"{path}: {error.message} (Kubernetes {version})")
    return tuple(found)


def _namespaces(objects: Sequence[Object]) -> Iterator[str]:
    """Have every object in a namespace whose labels confine it."""
    made = {body["metadata"]["name"] for body in objects if body["kind"] == "Namespace"}
    for body in objects:
        where = body["metadata"].get("namespace")
        if body["kind"] != "Namespace" and where not in made:
            yield f"{_titled(body)}: is in namespace {where}, which is not made here"


def _open_network(objects: Sequence[Object]) -> Iterator[str]:
    """Shut everything in both directions, then let each pod have a policy of its own."""
    policies = [body["spec"] for body in objects if body["kind"] == "NetworkPolicy"]
    shut = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if shut not in policies:
        yield f"no NetworkPolicy shuts everything: {shut}"
    for title, labels, _ in _pods(objects):
        if not any(_selects(spec["podSelector"], labels) for spec in policies if spec != shut):
            yield f"{title}: no NetworkPolicy opens what it uses"


def _dangling(objects: Sequence[Object]) -> Iterator[str]:
    """Refer to nothing that is not there, which an API server would take without a word."""
    there = {(body["kind"], body["metadata"]["name"]) for body in objects}
    pods = [(labels, ports) for _, labels, ports in _pods(objects)]
    for body in objects:
        spec = body.get("spec", {})
        for kind, name in _named(spec):
            if (kind, name) not in there:
                yield f"{_titled(body)}: {kind} {name} is not there"
        selector = {
            "Service": {"matchLabels": spec.get("selector", {})},
            "PodDisruptionBudget": spec.get("selector"),
            "NetworkPolicy": spec.get("podSelector"),
        }.get(body["kind"])
        if selector is None:
            continue
        selected = [ports for labels, ports in pods if _selects(selector, labels)]
        if not selected:
            yield f"{_titled(body)}: selects no pod"
        for port in spec.get("ports", ()) if body["kind"] == "Service" else ():
            if (target := port.get("targetPort", port["port"])) not in set().union(*selected):
                yield f"{_titled(body)}: no container has the port {target}"


def _named(part: object) -> Iterator[tuple[str, str]]:
    """Yield (kind, name) of every object that is named below `part`."""
    if isinstance(part, list):
        for each in part:
            yield from _named(each)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key == "serviceAccountName":
                yield "ServiceAccount", value
            elif key in NAMES and isinstance(value, dict):
                kind, field = NAMES[key]
                yield kind, value[field]
            else:
                yield from _named(value)


def _pods(objects: Sequence[Object]) -> Iterator[tuple[str, Object, set[str | int]]]:
    """Yield (title, labels, ports by name and number) of everything that makes pods."""
    for body in objects:
        spec = body.get("spec", {})
        pod = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if pod is not None:
            ports = {
                port[word]
                for container in pod["spec"]["containers"]
                for port in container.get("ports", ())
                for word in ("name", "containerPort")
                if word in port
            }
            yield _titled(body), pod["metadata"]["labels"], ports


def _selects(selector: Object, labels: Object) -> bool:
    """Return whether a label selector selects; only matchLabels are used here, {} is everything."""
    return (selector.get("matchLabels") or {}).items() <= labels.items()


def _titled(body: Object) -> str:
    return f"{body['kind']}/{body['metadata']['name']}"


def _run(tool: Tool, *arguments: str, folder: Path) -> str:
    """Run a tool without the caller's variables and return its standard output."""
    program = tool.find(TOOLS)
    if program is None:
        raise MissingToolError(f"{tool.without}: {tool.name} is not there (see .tools/setup.log)")
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        env={},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode != 0:
        raise PolicyError(" ".join(done.stderr.split()))
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
