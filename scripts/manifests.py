"""`python -m scripts.manifests`: everything about k8s/ that can be said without a cluster.

Renders each overlay, holds every object against the schemas of the oldest and the newest
Kubernetes that are supported, and every rendering against the rules (manifest_rules.py). Exit code
0, or 1 with a line for each finding. Nothing is contacted: what only an API server knows is for
`make k8s-test`.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import kubernetes_validate

from scripts.kustomize import FILE, KustomizeError, Object, read, render
from scripts.manifest_rules import RULES, titled

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = "1.29", "1.37"  # podFailurePolicy and endPort are older than both


def overlays(root: Path) -> list[Path]:
    """Give the base and every overlay of k8s/."""
    return [
        root / "k8s" / "base",
        *sorted(path.parent for path in root.glob(f"k8s/overlays/*/{FILE}")),
    ]


def schema_findings(objects: Sequence[Object]) -> Iterator[str]:
    """Give what the schemas of Kubernetes refuse, unknown fields included."""
    for body in objects:
        for version in (OLDEST, NEWEST):
            if why := _refusal(json.dumps(body, sort_keys=True), version):
                yield f"{titled(body)}: Kubernetes {version}{why}"


@functools.cache  # a schema is a megabyte, and most objects are in every overlay
def _refusal(text: str, version: str) -> str:
    try:
        kubernetes_validate.validate(json.loads(text), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f": {'.'.join(str(step) for step in error.path)}: {error.message}"
    except (kubernetes_validate.SchemaNotFoundError, kubernetes_validate.InvalidSchemaError) as why:
        return f" does not know it: {why.message}"
    return ""


def findings(objects: Sequence[Object]) -> list[str]:
    """Give everything that is wrong with one rendering, a line each."""
    found = list(schema_findings(objects))
    return found + [line for rule in RULES for line in rule(objects)]


def unused_files(root: Path) -> list[str]:
    """Give files of Prometheus and Grafana that no ConfigMap carries: a cluster would lack them."""
    folder = root / "dashboard"
    if not (folder / FILE).exists():
        return []
    carried = {
        entry.rpartition("=")[2]
        for options in read(folder).get("configMapGenerator", [])
        for entry in options.get("files", [])
    }
    there = [*folder.glob("prometheus/rules/*.y*ml"), *folder.glob("grafana/dashboards/*.json")]
    names = sorted(path.relative_to(folder).as_posix() for path in there)
    return [f"dashboard/{FILE}: {name} is in no ConfigMap" for name in names if name not in carried]


def check(root: Path) -> list[str]:
    """Give everything that is wrong with the manifests of a checkout."""
    lines = []
    for folder in overlays(root):
        try:
            found = findings(render(folder))
        except KustomizeError as error:
            found = [str(error)]
        name = folder.relative_to(root).as_posix()
        lines += [f"{name}: {line}" for line in found]
    try:
        lines += unused_files(root)
    except KustomizeError as error:
        lines.append(str(error))
    return lines


def main(root: Path = ROOT) -> int:
    """Print what is wrong; give the exit code."""
    lines = check(root)
    for line in lines:
        sys.stdout.write(line + "\n")
    if not lines:
        sys.stdout.write(f"manifests: {len(overlays(root))} renderings are in order\n")
    return 1 if lines else 0


if __name__ == "__main__":
    raise SystemExit(main())
