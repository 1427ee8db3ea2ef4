"""Ports that a run will listen on, looked at before anything is started.

Locust finds a taken port late, after its workers were forked, and says so in its own way; two runs
on one machine must not disturb each other either, so forked workers get a port of their own.
"""

from __future__ import annotations

import argparse
import socket

from cluster.ports import free_port
from settings import ConfigError, Settings

LOOPBACK = "127.0.0.1"
LOCUST_MASTER_PORT = 5557
ANYWHERE = "*"


def settle_ports(options: argparse.Namespace, settings: Settings) -> None:
    """Choose a port for forked workers; raise ConfigError for a port that is taken."""
    unsaid = options.master_bind_host == ANYWHERE
    if options.processes and unsaid and options.master_bind_port == LOCUST_MASTER_PORT:
        # Workers of this machine alone, and of no other run on it.
        options.master_bind_host = options.master_host = LOOPBACK
        options.master_bind_port = options.master_port = free_port(LOOPBACK)
    elif options.master or options.processes:
        host = "" if options.master_bind_host == ANYWHERE else options.master_bind_host
        _expect_free(host, options.master_bind_port, "--master-bind-port")
    if not options.headless:
        host = "" if options.web_host == ANYWHERE else options.web_host
        _expect_free(host, options.web_port, "--web-port")
    if settings.prometheus_port is not None:
        _expect_free(LOOPBACK, settings.prometheus_port, "--prometheus-port")


def _expect_free(host: str, port: int, flag: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"{flag} {port} cannot be used ({(error.strerror or str(error)).lower()}): "
                f"end what listens there, or give another {flag}"
            ) from None
        except OverflowError:
            raise ConfigError(f"{flag} {port} is no port: give 1 to 65535") from None
