"""Rules for rendered manifests: what a reviewer would refuse, each rule one function.

A rule gets all objects of one rendering and gives a line for each breach. Pure. The restricted
standard is Kubernetes' own (pod security standards); the other rules are this project's, and each
says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from scripts.kustomize import Object, config_map_references, containers, pod_of, split_image

Rule = Callable[[Sequence[Object]], Iterator[str]]

SAFE_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip
CONTROLLERS = {"Deployment", "StatefulSet", "DaemonSet"}
ANNOTATION_LIMIT = 262_144  # bytes of all annotations; `kubectl apply` keeps the object in one
BARE_LIMIT = ANNOTATION_LIMIT - 4096


def titled(body: Object) -> str:
    """Give `Kind/name`."""
    return f"{body['kind']}/{body['metadata']['name']}"


def _pods(objects: Sequence[Object]) -> Iterator[tuple[str, Object, Object]]:
    """Give (title, pod's spec, pod's metadata) of everything that makes pods."""
    for body in objects:
        pod = pod_of(body)
        if pod is not None:
            yield titled(body), pod.get("spec", {}), pod.get("metadata", {})


def _containers(objects: Sequence[Object]) -> Iterator[tuple[str, Object, Object]]:
    """Give (title, container, its pod's spec)."""
    for body in objects:
        pod = (pod_of(body) or {}).get("spec", {})
        for container in containers(body):
            yield f"{titled(body)} container {container.get('name')}", container, pod


def _either(container: Object, pod: Object, name: str) -> Any:
    """Give a setting of the security context: the container's own, else the pod's."""
    own = container.get("securityContext") or {}
    return own.get(name, (pod.get("securityContext") or {}).get(name))


def images(objects: Sequence[Object]) -> Iterator[str]:
    """Name images by a tag that stays what it is: what ran yesterday must run today."""
    for title, container, _ in _containers(objects):
        image = container.get("image", "")
        _, tag = split_image(image)
        if not tag or tag == "latest":
            yield f"{title}: image {image or '(none)'} has no fixed tag: name a version"
        if container.get("imagePullPolicy") not in ("IfNotPresent", "Never"):
            yield f"{title}: imagePullPolicy is not IfNotPresent: a tag here never changes"


def no_root(objects: Sequence[Object]) -> Iterator[str]:
    """Run no container as root."""
    for title, container, pod in _containers(objects):
        if _either(container, pod, "runAsNonRoot") is not True:
            yield f"{title}: runAsNonRoot is not true: it could run as root"
        user = _either(container, pod, "runAsUser")
        if not isinstance(user, int) or user <= 0:
            yield f"{title}: runAsUser {user} is no unprivileged user: name one above 0"


def confined(objects: Sequence[Object]) -> Iterator[str]:
    """Keep containers to the restricted standard, and to a read-only root file system."""
    for title, container, pod in _containers(objects):
        own = container.get("securityContext") or {}
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{title}: allowPrivilegeEscalation is not false"
        if own.get("privileged"):
            yield f"{title}: privileged"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{title}: readOnlyRootFilesystem is not true"
        capabilities = own.get("capabilities") or {}
        if "ALL" not in capabilities.get("drop", []):
            yield f"{title}: capabilities are not dropped: drop [ALL]"
        if more := set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"{title}: capabilities {', '.join(sorted(more))} are added"
        seccomp = (_either(container, pod, "seccompProfile") or {}).get("type")
        if seccomp not in ("RuntimeDefault", "Localhost"):
            yield f"{title}: seccompProfile is not RuntimeDefault"
        if any("hostPort" in port for port in container.get("ports", [])):
            yield f"{title}: hostPort publishes it on the node"


def own_namespaces(objects: Sequence[Object]) -> Iterator[str]:
    """Keep pods to the restricted standard: nothing of the node's own."""
    for title, pod, _ in _pods(objects):
        for name in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.get(name):
                yield f"{title}: {name}"
        for volume in pod.get("volumes", []):
            if unsafe := set(volume) - SAFE_VOLUMES - {"name"}:
                yield f"{title}: volume {volume.get('name')} is {', '.join(sorted(unsafe))}"


def namespaces(objects: Sequence[Object]) -> Iterator[str]:
    """Have the API server itself enforce the restricted standard."""
    made = [body for body in objects if body["kind"] == "Namespace"]
    if not made:
        yield "no Namespace: the restricted standard is enforced by its labels"
    for body in made:
        labels = body["metadata"].get("labels", {})
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{titled(body)}: does not enforce the restricted pod security standard"
    names = {body["metadata"]["name"] for body in made}
    for body in objects:
        where = body["metadata"].get("namespace")
        if body["kind"] != "Namespace" and where not in names:
            yield f"{titled(body)}: is in namespace {where}, which is not made here"


def no_token(objects: Sequence[Object]) -> Iterator[str]:
    """Give a pod a service account's token only where a Role of its own is bound to it."""
    bound = {
        subject.get("name")
        for body in objects
        if body["kind"] == "RoleBinding"
        for subject in body.get("subjects", [])
    }
    for title, pod, _ in _pods(objects):
        account = pod.get("serviceAccountName")
        if pod.get("automountServiceAccountToken") is not False and account not in bound:
            yield f"{title}: automountServiceAccountToken is not false, and it needs no token"


def narrow_roles(objects: Sequence[Object]) -> Iterator[str]:
    """Grant what is used, by name, in the namespace alone."""
    for body in objects:
        if body["kind"] in ("ClusterRole", "ClusterRoleBinding"):
            yield f"{titled(body)}: reaches beyond the namespace: use a Role"
        for rule in body.get("rules", []) if body["kind"] == "Role" else []:
            for part in ("verbs", "resources", "apiGroups"):
                if "*" in rule.get(part, []):
                    yield f"{titled(body)}: {part} '*': name what is needed"


def no_service_links(objects: Sequence[Object]) -> Iterator[str]:
    """Set no variables after Services: LOCUST_... and TOXIPROXY_... would be taken for options."""
    for title, pod, _ in _pods(objects):
        if pod.get("enableServiceLinks") is not False:
            yield f"{title}: enableServiceLinks is not false"


def resources(objects: Sequence[Object]) -> Iterator[str]:
    """Request and limit processor and memory: a load test must not starve its neighbours."""
    for title, container, _ in _containers(objects):
        given = container.get("resources") or {}
        for part in ("requests", "limits"):
            for what in ("cpu", "memory"):
                if what not in (given.get(part) or {}):
                    yield f"{title}: resources.{part}.{what} is missing"
    for title, pod, _ in _pods(objects):
        for volume in pod.get("volumes", []):
            if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
                yield f"{title}: volume {volume['name']} has no sizeLimit"


def probes(objects: Sequence[Object]) -> Iterator[str]:
    """Probe whatever serves others."""
    for title, container, _ in _containers(objects):
        if container.get("ports") and "readinessProbe" not in container:
            yield f"{title}: has ports and no readinessProbe"


def nothing_published(objects: Sequence[Object]) -> Iterator[str]:
    """Publish nothing beyond the cluster: the web UI breaks things on request."""
    for body in objects:
        spec = body.get("spec", {})
        if body["kind"] in ("Ingress", "HTTPRoute"):
            yield f"{titled(body)}: publishes beyond the cluster: use port-forward"
        if body["kind"] != "Service":
            continue
        if spec.get("type", "ClusterIP") != "ClusterIP":
            yield f"{titled(body)}: type {spec['type']} publishes it on every node's address"
        if spec.get("externalIPs"):
            yield f"{titled(body)}: externalIPs publish it"


def closed_network(objects: Sequence[Object]) -> Iterator[str]:
    """Shut everything in both directions first, then let each pod have a policy of its own."""
    policies = [body["spec"] for body in objects if body["kind"] == "NetworkPolicy"]
    shut = any(
        not spec.get("podSelector")
        and {"Ingress", "Egress"} <= set(spec.get("policyTypes", []))
        and not spec.get("ingress")
        and not spec.get("egress")
        for spec in policies
    )
    if not shut:
        yield "no NetworkPolicy shuts everything: podSelector {}, policyTypes [Ingress, Egress]"
    for body in objects:
        if body["kind"] != "NetworkPolicy":
            continue
        spec = body["spec"]
        for way, ends in (("ingress", "from"), ("egress", "to")):
            for rule in spec.get(way, []):
                if not rule.get(ends) or not rule.get("ports"):
                    yield f"{titled(body)}: an {way} rule without {ends} or ports opens everything"
    for title, _, metadata in _pods(objects):
        labels = metadata.get("labels", {})
        if not any(_selects(spec.get("podSelector"), labels) for spec in policies):
            yield f"{title}: no NetworkPolicy opens what it uses"


def whole(objects: Sequence[Object]) -> Iterator[str]:
    """Refer to nothing that is not there: selectors, ports, ConfigMaps."""
    labels = [metadata.get("labels", {}) for _, _, metadata in _pods(objects)]
    maps = {body["metadata"]["name"] for body in objects if body["kind"] == "ConfigMap"}
    for body in objects:
        spec = body.get("spec", {})
        if body["kind"] in CONTROLLERS:
            own = (pod_of(body) or {}).get("metadata", {}).get("labels", {})
            if not spec.get("selector", {}).get("matchLabels") or not _selects(
                spec["selector"], own
            ):
                yield f"{titled(body)}: its selector does not select its own pods"
        selector = {
            "Service": {"matchLabels": spec.get("selector", {})},
            "PodDisruptionBudget": spec.get("selector"),
            "NetworkPolicy": spec.get("podSelector"),
        }.get(body["kind"])
        if selector is not None and not any(_selects(selector, each) for each in labels):
            yield f"{titled(body)}: selects no pod"
        for reference in config_map_references(body.get("spec", {})):
            if reference["name"] not in maps:
                yield f"{titled(body)}: ConfigMap {reference['name']} is not there"
        if body["kind"] == "Service":
            yield from _missing_ports(body, objects)


def whole_pods(objects: Sequence[Object]) -> Iterator[str]:
    """Have pods refer to nothing that is not there: volumes, claims, accounts."""
    accounts = {body["metadata"]["name"] for body in objects if body["kind"] == "ServiceAccount"}
    claims = {o["metadata"]["name"] for o in objects if o["kind"] == "PersistentVolumeClaim"}
    for title, pod, _ in _pods(objects):
        account = pod.get("serviceAccountName")
        if account is not None and account not in accounts:
            yield f"{title}: ServiceAccount {account} is not there"
        volumes = pod.get("volumes", [])
        for volume in volumes:
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim is not None and claim not in claims:
                yield f"{title}: PersistentVolumeClaim {claim} is not there"
        names = {volume["name"] for volume in volumes}
        for container in [*pod.get("initContainers", []), *pod.get("containers", [])]:
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in names:
                    yield f"{title}: volume {mount['name']} is not there"


def _missing_ports(service: Object, objects: Sequence[Object]) -> Iterator[str]:
    served = {
        word
        for body in objects
        if (pod := pod_of(body)) is not None
        and _selects(
            {"matchLabels": service["spec"].get("selector", {})},
            pod.get("metadata", {}).get("labels", {}),
        )
        for container in containers(body)
        for port in container.get("ports", [])
        for word in (port.get("name"), port["containerPort"])
    }
    for port in service["spec"].get("ports", []):
        if (target := port.get("targetPort", port["port"])) not in served:
            yield f"{titled(service)}: no container has the port {target}"


def small_enough(objects: Sequence[Object]) -> Iterator[str]:
    """Fit into what `kubectl apply` remembers of an object in an annotation."""
    for body in objects:
        size = sum(len(str(value).encode()) for value in (body.get("data") or {}).values())
        if size > BARE_LIMIT:
            yield f"{titled(body)}: {size} bytes are too many for kubectl apply: split it"


def _selects(selector: Object | None, labels: Object) -> bool:
    """Tell whether a label selector selects; only matchLabels are used here, {} is everything."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items())


RULES: tuple[Rule, ...] = (
    images, no_root, confined, own_namespaces, namespaces, no_token, narrow_roles,
    no_service_links, resources, probes, nothing_published, closed_network, whole, whole_pods,
    small_enough,
)  # fmt: skip
