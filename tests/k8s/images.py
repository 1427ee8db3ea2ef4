"""Whether the cluster has, or can pull, the images that the overlays name.

One pod with a container for each image, in a namespace of its own, is looked at until each image
is there or cannot be had. What the containers do is of no interest: they have no program to run.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from tests.k8s.cluster import kubectl, soon

PULL_WITHIN_S = 300.0  # over a slow line
REFUSED_FOR_S = 15.0  # a registry that hiccups once has answered by then
CREATED_WITHIN_S = 20.0
POLL_S = 1.0
DEADLINE_S = 60.0
PENDING = ("", "ContainerCreating", "PodInitializing")
REFUSED = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName")


def missing_images(images: Sequence[str]) -> str:
    """Return in one line which images the cluster cannot have, empty when it has them all."""
    namespace = f"memquake-test-images-{uuid.uuid4().hex[:6]}"
    try:
        _create({"kind": "Namespace", "metadata": {"name": namespace}})
        # The service account of a new namespace comes a moment after it.
        soon(lambda: _create(_pod(images), namespace), CREATED_WITHIN_S, "a pod that is taken")
        return _awaited(namespace, images)
    finally:
        kubectl("delete", "namespace", namespace, "--ignore-not-found", limit_s=DEADLINE_S)


def _create(manifest: Mapping[str, Any], namespace: str = "default") -> bool:
    text = json.dumps({"apiVersion": "v1", **manifest})
    return kubectl("-n", namespace, "create", "-f", "-", text=text).code == 0


def _awaited(namespace: str, images: Sequence[str]) -> str:
    since: dict[str, float] = {}  # image -> when it was refused first
    began = time.monotonic()
    while True:
        done = kubectl("-n", namespace, "get", "pod", "images", "-o", "json")
        assert done.code == 0, done
        reasons = _reasons(json.loads(done.output), images)
        now = time.monotonic()
        refused = [image for image, reason in reasons.items() if reason in REFUSED]
        since = {image: since.get(image, now) for image in refused}
        if since and now - min(since.values()) > REFUSED_FOR_S:
            return f"the cluster can neither find nor pull {', '.join(refused)}"
        pending = [image for image, reason in reasons.items() if reason in PENDING]
        if not refused and not pending:
            return ""
        if now - began > PULL_WITHIN_S:
            return (
                f"the cluster has not pulled {', '.join(refused + pending)} in {now - began:.0f} s"
            )
        time.sleep(POLL_S)


def _reasons(pod: Mapping[str, Any], images: Sequence[str]) -> dict[str, str]:
    """Return by image what its container waits for; one that waits no more has its image."""
    reasons = dict.fromkeys(images, "")
    for status in pod.get("status", {}).get("containerStatuses", []):
        image = images[int(status["name"].removeprefix("image-"))]
        waiting = status["state"].get("waiting")
        reasons[image] = "there" if waiting is None else waiting.get("reason", "")
    return reasons


def _pod(images: Sequence[str]) -> dict[str, Any]:
    containers = [
        {"name": f"image-{number}", "image": image, "command": ["/no-program"]}
        for number, image in enumerate(images)
    ]
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "containers": containers,
    }
    return {"kind": "Pod", "metadata": {"name": "images"}, "spec": spec}
