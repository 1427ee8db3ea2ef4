"""Names of the messages between master and workers.

Every message carries plain types only. A worker asks (`HELLO`) until it is answered, because what
the master sends before the worker has registered its handlers is lost.
"""

from __future__ import annotations

HELLO = "mq_hello"  # worker -> master: {version}; one of another version is refused
WELCOME = "mq_welcome"  # master -> worker: {}
REFUSE = "mq_refuse"  # master -> worker: {why}
RUN = "mq_run"  # master -> worker: everything a worker needs to prepare a run
READY = "mq_ready"  # worker -> master: {run, users: {class: n}, ready: n, client, versions}
FAILED = "mq_failed"  # worker -> master: {run, why}: the run cannot start there
FAULTS = "mq_faults"  # master -> worker: {run, on}: whether a fault is on at a node
GO = "mq_go"  # master -> worker: {run, epoch, rates: {class: iterations a second}}
RATE = "mq_rate"  # master -> worker: {run, rates}
MARK = "mq_mark"  # master -> worker: {run}: take the baseline of memory now
ORDERS = "mq_orders"  # master -> worker: {run, number, orders}: all faults to do to itself
ORDERED = "mq_ordered"  # worker -> master: {run, number, said: {order: what came of it}}
COUNT = "mq_count"  # master -> worker: {run}: a node is full: count what the client holds of it
FINISH = "mq_finish"  # master -> worker: {run}: stop, quiesce, close, send the last report
