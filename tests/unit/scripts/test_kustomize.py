"""A kustomization is rendered as kubectl renders it, or refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.kustomize import KustomizeError, content_hash, merged, render, split_image

HEAD = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
POD = """
apiVersion: v1
kind: Pod
metadata: {name: one}
spec:
  containers:
    - {name: a, image: "app:1", envFrom: [{configMapRef: {name: settings}}]}
    - {name: b, image: "other:1"}
"""


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def kustomization(folder: Path, text: str, **files: str) -> Path:
    return write(folder, kustomization_yaml=HEAD + text, **files)


def test_a_name_ends_in_the_hash_of_its_content() -> None:
    """The hashes are kubectl's own, as `kubectl kustomize` (5.5.0) gave them."""
    empty = {"kind": "ConfigMap", "metadata": {"name": "any"}, "data": {}}
    assert content_hash(empty) == "6ct58987ht"
    assert content_hash({**empty, "data": {"one": "two\n"}}) == "d859gdgt85"
    assert content_hash({**empty, "data": {"A": "<1> & \u00fc"}}) == "8t5fhhh62h"


def test_settings_are_merged_and_referred_to_by_their_new_name(tmp_path: Path) -> None:
    """What an overlay merges changes the hash, and whoever uses the ConfigMap follows."""
    kustomization(
        tmp_path / "base",
        "namespace: there\nresources: [pod.yaml]\n"
        "configMapGenerator:\n  - {name: settings, envs: [settings.env]}\n",
        pod_yaml=POD,
        settings_env="# words\nA=1\nB=x=y\n",
    )
    plain = render(tmp_path / "base")
    kustomization(
        tmp_path / "over",
        "namespace: there\nresources: [../base]\nconfigMapGenerator:\n"
        "  - {name: settings, behavior: merge, literals: [A=2]}\n",
    )
    pod, settings = render(tmp_path / "over")
    assert settings["data"] == {"A": "2", "B": "x=y"}
    assert settings["metadata"]["namespace"] == "there"
    name = settings["metadata"]["name"]
    assert pod["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"] == name
    assert plain[1]["metadata"]["name"] != name


def test_patches_merge_containers_by_name_and_delete(tmp_path: Path) -> None:
    """A strategic merge patch reaches into one container and leaves the other one."""
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: []}\n"
    kustomization(
        tmp_path,
        "resources: [pod.yaml, service.yaml]\npatches:\n  - path: change.yaml\n"
        "  - patch: |\n      {kind: Service, metadata: {name: s}, $patch: delete}\n",
        pod_yaml=POD,
        service_yaml=service,
        change_yaml=POD.replace("app:1", "app:2").partition("    - {name: b")[0],
    )
    (pod,) = render(tmp_path)
    assert [c["image"] for c in pod["spec"]["containers"]] == ["app:2", "other:1"]


def test_a_component_changes_what_is_there_and_puts_new_things_first(tmp_path: Path) -> None:
    """Its patch for a target that is not there is fine; an added volume comes before the others."""
    volumes = "  volumes: [{name: old, emptyDir: {}}]\n"
    kustomization(tmp_path, "resources: [pod.yaml]\ncomponents: [part]\n", pod_yaml=POD + volumes)
    write(
        tmp_path / "part",
        kustomization_yaml="apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
        "patches:\n  - {path: change.yaml, target: {kind: Pod, name: one}}\n"
        "  - {path: change.yaml, target: {kind: Job, name: none}}\n",
        change_yaml="kind: Any\nmetadata: {name: any}\n"
        "spec: {volumes: [{name: new, emptyDir: {}}]}\n",
    )
    (pod,) = render(tmp_path)
    assert [volume["name"] for volume in pod["spec"]["volumes"]] == ["new", "old"]
    assert pod["metadata"]["name"] == "one"


BINDING = """
kind: RoleBinding
metadata: {name: b}
subjects: [{kind: ServiceAccount, name: s}]
"""


def test_whoever_is_granted_something_moves_along(tmp_path: Path) -> None:
    """The subject of a RoleBinding is in the namespace that the outermost overlay says."""
    kustomization(tmp_path / "base", "namespace: one\nresources: [role.yaml]\n", role_yaml=BINDING)
    kustomization(tmp_path / "over", "namespace: two\nresources: [../base]\n")
    (binding,) = render(tmp_path / "over")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "s", "namespace": "two"}]
    assert binding["metadata"]["namespace"] == "two"


def test_null_removes() -> None:
    """A field that a patch sets to null is gone."""
    assert merged({"a": 1, "b": {"c": 2}}, {"a": None, "b": {"d": 3}}) == {"b": {"c": 2, "d": 3}}


def test_images_are_renamed_where_they_are_named(tmp_path: Path) -> None:
    """A new name and tag reach every container of that image and no other."""
    kustomization(
        tmp_path,
        "resources: [pod.yaml]\nimages:\n  - {name: app, newName: 'host:5000/app', newTag: '3'}\n",
        pod_yaml=POD,
    )
    (pod,) = render(tmp_path)
    assert [c["image"] for c in pod["spec"]["containers"]] == ["host:5000/app:3", "other:1"]


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("memcached:1.6", ("memcached", "1.6")),
        ("host:5000/memcached", ("host:5000/memcached", "")),
        ("host:5000/a/b:2", ("host:5000/a/b", "2")),
        ("a@sha256:12", ("a", "@sha256:12")),
    ],
)
def test_an_image_has_a_name_and_a_tag(image: str, parts: tuple[str, str]) -> None:
    """A port of a registry is no tag, a digest is one."""
    assert split_image(image) == parts


@pytest.mark.parametrize(
    ("text", "files", "words"),
    [
        ("helmCharts: []\n", {}, "helmCharts is not understood"),
        ("resources: [none.yaml]\n", {}, "none.yaml: No such file"),
        ("resources: [pod.yaml]\n", {"pod_yaml": "a: [\n"}, "pod.yaml: while parsing"),
        ("resources: [pod.yaml]\n", {"pod_yaml": "kind: Pod\n"}, "lacks kind or metadata.name"),
        (
            "resources: [role.yaml]\n",
            {"role_yaml": BINDING.replace("name: s", "name: s, namespace: there")},
            "a subject names its namespace",
        ),
        ("resources: [pod.yaml, pod.yaml]\n", {"pod_yaml": POD}, "Pod/one is there twice"),
        (
            "patches:\n  - patch: |\n      {kind: Pod, metadata: {name: x}}\n",
            {},
            "there is no Pod/x to change",
        ),
        ("patches:\n  - {target: {kind: Pod}, patch: '[]'}\n", {}, "target {'kind': 'Pod'} is not"),
        (
            "patches:\n  - path: two.yaml\n",
            {"two_yaml": "kind: A\nmetadata: {name: a}\n$patch: delete\n---\nkind: B\n"},
            "needs an entry of its own",
        ),
        (
            "configMapGenerator:\n  - {name: x, files: [../secret]}\n",
            {},
            "../secret lies outside of its folder",
        ),
        ("configMapGenerator:\n  - {name: x, literal: [a=b]}\n", {}, "literal is not understood"),
    ],
)
def test_what_is_not_understood_is_refused(
    text: str, files: dict[str, str], words: str, tmp_path: Path
) -> None:
    """Nothing is passed over in silence: one line names the file and the thing."""
    with pytest.raises(KustomizeError) as caught:
        render(kustomization(tmp_path, text, **files))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
