# SPDX-License-Identifier: Apache-2.0
"""The client of etcd: with TLS verification as configured, and with a time limit.

Qinling passes its three file names unchecked: an empty [etcd] ca_cert disables verification, REQUESTS_CA_BUNDLE (which
container images set) overrides a configured ca_cert, a missing client certificate breaks every call even if the server
does not require one, and a call to a host that disappeared blocks forever.

Deleting the keys of a function's version 1 also deleted the keys of versions 10 to 19, which lost their workers.
"""

import threading
from typing import Any

import etcd3gw
from oslo_config import cfg
from qinling.utils import etcd_util

NAME = "etcd client"
REASON = "an empty ca_cert disabled verification, REQUESTS_CA_BUNDLE overrode ca_cert, and calls had no time limit"

TIMEOUT_SECONDS = 10

_lock = threading.Lock()


def make_client(conf: cfg.ConfigOpts) -> Any:
    """Return a client of the etcd configured in ``conf``."""
    options = conf.etcd
    settings: dict[str, Any] = {"host": options.host, "port": options.port, "protocol": options.protocol}
    if options.protocol == "https":
        if options.ca_cert:
            settings["ca_cert"] = options.ca_cert
        if options.cert_file and options.cert_key:
            settings.update(cert_cert=options.cert_file, cert_key=options.cert_key)
    client = etcd3gw.client(timeout=TIMEOUT_SECONDS, **settings)
    # A configured CA file takes precedence, and etcd is never behind the environment's proxy.
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
    """Return whether Qinling's own functions are in use."""
    return etcd_util.get_client.__module__ == etcd_util.__name__


def apply() -> None:
    """Replace Qinling's functions."""
    etcd_util.get_client = get_client
    etcd_util.delete_function = delete_function
