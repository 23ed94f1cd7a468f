# SPDX-License-Identifier: Apache-2.0
"""The client of etcd: verified as configured, with a time limit.

Qinling passes its three file names as they are: an empty [etcd] ca_cert switches verification off, REQUESTS_CA_BUNDLE
(which container images set) silently wins over a given ca_cert, a missing client certificate breaks every call although
the server may not ask for one, and without a time limit a call to a host that vanished waits for ever.

Deleting what etcd knows of a function's version 1 also deleted that of versions 10 to 19, whose workers were lost then.
"""

import threading
from typing import Any

import etcd3gw
from oslo_config import cfg
from qinling.utils import etcd_util

NAME = "etcd client"
REASON = "an empty ca_cert switched verification off, REQUESTS_CA_BUNDLE won over ca_cert, and calls had no time limit"

TIMEOUT_SECONDS = 10

_lock = threading.Lock()


def make_client(conf: cfg.ConfigOpts) -> Any:
    """Return a client for the etcd that ``conf`` names."""
    options = conf.etcd
    settings: dict[str, Any] = {"host": options.host, "port": options.port, "protocol": options.protocol}
    if options.protocol == "https":
        if options.ca_cert:
            settings["ca_cert"] = options.ca_cert
        if options.cert_file and options.cert_key:
            settings.update(cert_cert=options.cert_file, cert_key=options.cert_key)
    client = etcd3gw.client(timeout=TIMEOUT_SECONDS, **settings)
    # A CA file that was configured is the one that counts, and etcd is never behind the environment's proxy.
    client.session.trust_env = options.protocol == "https" and not options.ca_cert
    return client


def get_client(conf: cfg.ConfigOpts | None = None) -> Any:
    """Return the process's client; replaces ``qinling.utils.etcd_util.get_client``."""
    with _lock:
        if not etcd_util.CLIENT:
            etcd_util.CLIENT = make_client(conf or cfg.CONF)
        return etcd_util.CLIENT


def delete_function(function_id: str, version: int = 0) -> None:
    """Delete a function version's workers and address; replaces ``qinling.utils.etcd_util.delete_function``."""
    etcd_util.get_client().delete_prefix(f"{function_id}_{version}/")


def needed() -> bool:
    """Tell whether Qinling's own functions are in place."""
    return etcd_util.get_client.__module__ == etcd_util.__name__


def apply() -> None:
    """Replace Qinling's functions."""
    etcd_util.get_client = get_client
    etcd_util.delete_function = delete_function
