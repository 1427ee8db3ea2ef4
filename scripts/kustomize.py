"""Render a kustomization, as much of kustomize as k8s/ uses, for machines without kubectl.

Rule: what is not known here is refused by name, never passed over, so that what is checked is what
`kubectl apply -k` would send; `make k8s-test` holds both against each other. Pure but for reading
files.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

FILE = "kustomization.yaml"
KINDS = ("Kustomization", "Component")
KNOWN = {
    "apiVersion", "kind", "namespace", "resources", "components", "configMapGenerator",
    "generatorOptions", "images", "patches",
}  # fmt: skip
GENERATOR = {"name", "namespace", "behavior", "envs", "files", "literals", "options"}
CLUSTER_WIDE = {"Namespace", "ClusterRole", "ClusterRoleBinding", "PersistentVolume"}
MERGE_KEYS = {  # lists that a patch merges by a key; all others it replaces
    "containers": "name", "initContainers": "name", "volumes": "name", "env": "name",
    "volumeMounts": "mountPath",
}  # fmt: skip
HASH_LETTERS = str.maketrans("013ae", "ghkmt")  # so that no hash spells a word


class KustomizeError(Exception):
    """A kustomization cannot be rendered. One line that names the file."""


@dataclass
class _Item:
    """An object on its way."""

    body: Object
    is_hashed: bool = False  # whether its name ends in a hash of its content

    @property
    def key(self) -> tuple[str, str]:
        return str(self.body["kind"]), str(self.body["metadata"]["name"])


@dataclass
class _Rendering:
    items: list[_Item] = field(default_factory=list)

    def add(self, item: _Item, where: Path) -> None:
        if any(other.key == item.key for other in self.items):
            raise KustomizeError(f"{where}: {'/'.join(item.key)} is there twice")
        self.items.append(item)

    def find(self, kind: str, name: str, where: Path) -> _Item:
        for item in self.items:
            if item.key == (kind, name):
                return item
        raise KustomizeError(f"{where}: there is no {kind}/{name} to change")


def render(folder: Path) -> list[Object]:
    """Give the objects of a folder with a kustomization.yaml. Raises KustomizeError."""
    rendering = _Rendering()
    _accumulate(folder, rendering)
    _name_by_content(rendering.items)
    return [item.body for item in rendering.items]


def documents(path: Path) -> list[Object]:
    """Give the objects of a YAML file. Raises KustomizeError."""
    return parsed(_text(path), path)


def parsed(text: str, where: Path) -> list[Object]:
    """Give the objects of a text that stands in the file `where`. Raises KustomizeError."""
    try:
        found = [each for each in yaml.safe_load_all(text) if each is not None]
    except yaml.YAMLError as error:
        raise KustomizeError(f"{where}: {' '.join(str(error).split())}") from None
    for each in found:
        if not isinstance(each, dict) or not isinstance(each.get("metadata", {}), dict):
            raise KustomizeError(f"{where}: a document is no object")
    return found


def read(folder: Path) -> Object:
    """Give a kustomization.yaml as it is written. Raises KustomizeError."""
    path = folder / FILE
    found = documents(path)
    if len(found) != 1 or found[0].get("kind") not in KINDS:
        raise KustomizeError(f"{path}: is no Kustomization")
    unknown = sorted(set(found[0]) - KNOWN)
    if unknown:
        raise KustomizeError(f"{path}: {', '.join(unknown)} is not understood here")
    return found[0]


def _accumulate(folder: Path, rendering: _Rendering) -> None:
    """Add a folder's objects; what a folder changes, it changes in its own objects alone."""
    what, where = read(folder), folder / FILE
    inner = rendering if what["kind"] == "Component" else _Rendering()
    for name in what.get("resources", []):
        path = folder / name
        if path.is_dir():
            nested = _Rendering()
            _accumulate(path, nested)
            for item in nested.items:
                inner.add(item, where)
            continue
        for body in documents(path):
            _refuse_what_misleads(body, path)
            inner.add(_Item(body), path)
    for options in what.get("configMapGenerator", []):
        _generate(folder, options, what.get("generatorOptions", {}), inner)
    for name in what.get("components", []):
        _accumulate(folder / name, inner)
    for patch in what.get("patches", []):
        _patch(folder, patch, inner)
    if namespace := what.get("namespace"):
        _move(inner.items, namespace)
    for image in what.get("images", []):
        _set_image(inner.items, image)
    if inner is not rendering:
        for item in inner.items:
            rendering.add(item, where)


def _refuse_what_misleads(body: Object, path: Path) -> None:
    if "kind" not in body or "name" not in body.get("metadata", {}):
        raise KustomizeError(f"{path}: an object lacks kind or metadata.name")
    if any("namespace" in subject for subject in body.get("subjects", [])):
        # kustomize would leave it behind when the rest moves to another namespace.
        raise KustomizeError(f"{path}: a subject names its namespace: leave that out")


# -- ConfigMaps --------------------------------------------------------------------------------


def _generate(folder: Path, options: Object, more: Object, inner: _Rendering) -> None:
    where, name = folder / FILE, str(options["name"])
    unknown = set(options) - GENERATOR
    chosen = {**more, **options.get("options", {})}
    unknown |= set(chosen) - {"labels", "annotations", "disableNameSuffixHash"}
    if unknown:
        raise KustomizeError(f"{where}: {name}: {', '.join(sorted(unknown))} is not understood")
    data = _data(folder, options)
    if options.get("behavior", "create") == "create":
        metadata: Object = {"name": name}
        for part in ("labels", "annotations"):
            if words := {**more.get(part, {}), **chosen.get(part, {})}:
                metadata[part] = words
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        is_hashed = not chosen.get("disableNameSuffixHash", False)
        inner.add(_Item(body, is_hashed=is_hashed), where)
        return
    item = inner.find("ConfigMap", name, where)
    item.body["data"] = {**(item.body["data"] if options["behavior"] == "merge" else {}), **data}


def _data(folder: Path, options: Object) -> dict[str, str]:
    data: dict[str, str] = {}
    for name in options.get("envs", []):
        for line in _text(folder / name).splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                key, _, value = line.partition("=")
                data[key.strip()] = value
    for entry in options.get("files", []):
        key, _, name = entry.rpartition("=")
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise KustomizeError(f"{folder / FILE}: {name} lies outside of its folder")
        data[key or Path(name).name] = _text(folder / name)
    for entry in options.get("literals", []):
        key, _, value = entry.partition("=")
        data[key] = value
    return data


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise KustomizeError(f"{path}: {error.strerror}") from None


def content_hash(body: Object) -> str:
    """Give the suffix that kustomize adds to the name of a generated ConfigMap."""
    what = {"data": body.get("data") or "", "kind": "ConfigMap", "name": ""}
    text = json.dumps(what, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for letter in "<>&\u2028\u2029":  # as Go writes JSON
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return hashlib.sha256(text.encode()).hexdigest()[:10].translate(HASH_LETTERS)


def _name_by_content(items: list[_Item]) -> None:
    names = {}
    for item in items:
        if item.is_hashed:
            plain = item.body["metadata"]["name"]
            names[plain] = item.body["metadata"]["name"] = f"{plain}-{content_hash(item.body)}"
    for item in items:
        for reference in config_map_references(item.body):
            reference["name"] = names.get(reference["name"], reference["name"])


def config_map_references(part: Any) -> Iterable[Object]:
    """Give every place below `part` that names a ConfigMap in `name`."""
    if isinstance(part, list):
        for each in part:
            yield from config_map_references(each)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key in ("configMap", "configMapRef", "configMapKeyRef") and "name" in value:
                yield value
            yield from config_map_references(value)


# -- changes -----------------------------------------------------------------------------------


def _move(items: list[_Item], namespace: str) -> None:
    for item in items:
        kind = item.body["kind"]
        if kind == "Namespace":
            item.body["metadata"]["name"] = namespace
        elif kind not in CLUSTER_WIDE:
            item.body["metadata"]["namespace"] = namespace
        if kind.endswith("RoleBinding"):
            for subject in item.body.get("subjects", []):
                if subject.get("kind") == "ServiceAccount":
                    subject["namespace"] = namespace


def _set_image(items: list[_Item], image: Object) -> None:
    for item in items:
        for container in containers(item.body):
            name, tag = split_image(container["image"])
            if name == image["name"]:
                new, newer = image.get("newName", name), image.get("newTag", tag)
                container["image"] = f"{new}:{newer}" if newer else new


def _patch(folder: Path, patch: Object, inner: _Rendering) -> None:
    where, target = folder / FILE, patch.get("target")
    unknown = set(patch) - {"path", "patch", "target"}
    if target is not None and set(target) != {"kind", "name"}:
        unknown.add(f"target {target}")
    if unknown:
        raise KustomizeError(f"{where}: patches: {', '.join(sorted(unknown))} is not understood")
    if "path" in patch:
        where = folder / patch["path"]
    changes = documents(where) if "path" in patch else parsed(patch["patch"], where)
    if len(changes) > 1 and any("$patch" in change for change in changes):
        # kubectl ends in a crash there.
        raise KustomizeError(f"{where}: a patch that deletes needs an entry of its own")
    for each in changes:
        change = each
        if target is not None:  # one that selects nothing is fine, as in kustomize
            change = {"spec": each["spec"]}
            found = [item for item in inner.items if item.key == (target["kind"], target["name"])]
        else:
            found = [inner.find(change["kind"], change["metadata"]["name"], where)]
        for item in found:
            if change.get("$patch") == "delete":
                inner.items.remove(item)
            else:
                item.body = merged(item.body, change)


def merged(base: Any, change: Any, key: str = "") -> Any:
    """Give `base` with a strategic merge patch applied; null removes."""
    if isinstance(base, dict) and isinstance(change, dict):
        result = dict(base)
        for name, value in change.items():
            if value is None:
                result.pop(name, None)
            else:
                result[name] = merged(result.get(name), value, name)
        return result
    by = MERGE_KEYS.get(key)
    if by and isinstance(base, list) and isinstance(change, list):
        changed, new = list(base), []
        for each in change:
            at = next((i for i, old in enumerate(base) if old.get(by) == each.get(by)), None)
            if at is None:
                new.append(copy.deepcopy(each))
            else:
                changed[at] = merged(base[at], each)
        return new + changed  # as kustomize does it: what is added comes first
    return copy.deepcopy(change)


# -- looking at objects ------------------------------------------------------------------------


def pod_of(body: Object) -> Object | None:
    """Give the pod's spec and metadata that an object brings forth, None where it makes no pod."""
    spec = body.get("spec", {})
    if body.get("kind") == "Pod":
        return body
    if body.get("kind") == "CronJob":
        spec = spec.get("jobTemplate", {}).get("spec", {})
    template = spec.get("template") if isinstance(spec, dict) else None
    return template if isinstance(template, dict) else None


def containers(body: Object) -> list[Object]:
    """Give every container that an object brings forth."""
    pod = (pod_of(body) or {}).get("spec", {})
    return [*pod.get("initContainers", []), *pod.get("containers", [])]


def split_image(image: str) -> tuple[str, str]:
    """Give name and tag (or digest, with its @ kept) of an image; the tag may be missing."""
    if "@" in image:
        name, _, digest = image.partition("@")
        return name, "@" + digest
    head, slash, last = image.rpartition("/")
    name, _, tag = last.partition(":")
    return head + slash + name, tag
