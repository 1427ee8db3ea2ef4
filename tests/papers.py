"""An authority, and a certificate of its making, made anew by openssl for each test session."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "cache.test"


@dataclass(frozen=True, kw_only=True)
class Papers:
    """An authority and a certificate of its making for `cache.test`, in files."""

    authority: str
    chain: str
    key: str

    def context(self, **changes: Any) -> ssl.SSLContext:
        """Return a client's context that trusts this authority alone."""
        context = ssl.create_default_context(cafile=self.authority)
        for name, value in changes.items():
            setattr(context, name, value)
        return context


def make_papers(openssl: str, folder: Path) -> Papers:
    def run(*words: str) -> None:
        done = subprocess.run(
            [openssl, *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *curve, "-days", "2", "-subj", "/CN=authority of a test",
        "-keyout", "ca.key", "-out", "ca.pem")  # fmt: skip
    run("req", *curve, "-subj", f"/CN={NAME}", "-keyout", "node.key", "-out", "node.csr")
    (folder / "names").write_text(f"subjectAltName=DNS:{NAME}\n")
    run("x509", "-req", "-in", "node.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "2", "-extfile", "names", "-out", "node.pem")  # fmt: skip
    return Papers(
        authority=str(folder / "ca.pem"), chain=str(folder / "node.pem"),
        key=str(folder / "node.key"),
    )  # fmt: skip
