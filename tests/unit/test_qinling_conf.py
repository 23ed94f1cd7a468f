# SPDX-License-Identifier: Apache-2.0
"""Each service's qinling.conf only has the options that the service reads, so that changes do not restart others."""

from __future__ import annotations

import configparser
from pathlib import Path

import jinja2
import jinja2.meta
import pytest

TEMPLATE = Path(__file__).resolve().parents[2] / "roles/qinling/templates/qinling.conf.j2"
SERVICES = ("qinling-api", "qinling-engine")
# The services that read an option, in Qinling 5.0.0, its libraries or our package, by section and option.
API, ENGINE, BOTH = {"qinling-api"}, {"qinling-engine"}, set(SERVICES)
READERS: dict[str, dict[str, set[str]]] = {
    "DEFAULT": {
        **dict.fromkeys(("debug", "log_dir", "use_stderr"), BOTH),
        **dict.fromkeys(("log_rotation_type", "max_logfile_size_mb", "max_logfile_count"), BOTH),
        "transport_url": BOTH,
        # Only the API sends RPC calls.
        "rpc_response_timeout": API,
        # For URLs of webhooks, and for workers.
        "qinling_endpoint": BOTH,
    },
    "api": dict.fromkeys(
        ("host", "port", "api_workers", "api_threads", "enable_job_handler", "max_package_size", "unix_socket"), API
    ),
    "engine": dict.fromkeys(
        (
            "host",
            "orchestrator",
            "function_concurrency",
            "function_service_expiration",
            "sidecar_image",
            "worker_credentials",
        ),
        ENGINE,
    ),
    "resource_limits": {
        # The API validates requests of functions; the engine limits pools and detects lost executions.
        **dict.fromkeys(("default_cpu", "default_memory", "default_timeout"), API),
        **dict.fromkeys(("min_cpu", "min_memory"), API),
        **dict.fromkeys(("max_cpu", "max_memory", "min_timeout", "max_timeout"), BOTH),
    },
    "database": dict.fromkeys(("connection", "connection_recycle_time", "max_pool_size", "max_retries"), BOTH),
    "keystone_authtoken": {
        **dict.fromkeys(("www_authenticate_uri", "auth_url", "username", "password", "cafile", "region_name"), BOTH),
        **dict.fromkeys(("project_name", "project_domain_name", "user_domain_name"), BOTH),
        # Option validation needs it to load the plugin's options.
        "auth_type": BOTH,
        # Options of the middleware.
        **dict.fromkeys(("service_token_roles_required", "memcached_servers"), API),
        **dict.fromkeys(("memcache_security_strategy", "memcache_secret_key"), API),
    },
    "storage": dict.fromkeys(("provider", "file_system_dir"), API),
    "etcd": dict.fromkeys(("host", "port", "protocol", "ca_cert", "cert_file", "cert_key"), BOTH),
    # Unused by default: Kolla's globals for notifications, for options that an operator adds.
    "oslo_messaging_notifications": dict.fromkeys(("transport_url", "driver", "topics"), BOTH),
    "oslo_messaging_rabbit": {
        **dict.fromkeys(("use_queue_manager", "rabbit_quorum_queue", "rabbit_transient_quorum_queue"), BOTH),
        **dict.fromkeys(("rabbit_stream_fanout", "rabbit_qos_prefetch_count", "ssl", "ssl_ca_file"), BOTH),
    },
    # For the locks of oslo.messaging's queue manager.
    "oslo_concurrency": {"lock_path": BOTH},
    "oslo_policy": {"policy_file": API},
    "oslo_middleware": {"enable_proxy_headers_parsing": API},
}
ORCHESTRATOR_READERS: dict[str, dict[str, dict[str, set[str]]]] = {
    "kubernetes": {
        # Resource requests of workers.
        "resource_limits": dict.fromkeys(("min_cpu", "min_memory"), BOTH),
        "kubernetes": dict.fromkeys(
            (
                "kube_host",
                "namespace",
                "replicas",
                "use_api_certificate",
                "ssl_ca_cert",
                "cert_file",
                "key_file",
                "log_devel",
                "worker_access",
                "egress_allowed_cidrs",
            ),
            ENGINE,
        ),
    },
    "swarm": {
        "swarm": dict.fromkeys(("docker_host", "network", "replicas", "gateway_url", "placement_constraints"), ENGINE)
    },
}


def options(service: str, orchestrator: str) -> set[tuple[str, str]]:
    """Return section and name of each option in a service's file, rendered with all features enabled."""
    environment = jinja2.Environment(trim_blocks=True)
    environment.filters["bool"] = lambda value: str(value) == "yes"
    text = TEMPLATE.read_text()
    names = jinja2.meta.find_undeclared_variables(environment.parse(text))
    assert {"service_name", "qinling_orchestrator"} <= names
    variables = {"service_name": service, "qinling_orchestrator": orchestrator, "qinling_etcd_protocol": "https"}
    parser = configparser.ConfigParser(interpolation=None, default_section="", allow_no_value=True)
    parser.read_string(environment.from_string(text).render({**dict.fromkeys(names, "yes"), **variables}))
    return {(section, option) for section in parser.sections() for option in parser[section]}


@pytest.mark.parametrize("orchestrator", ORCHESTRATOR_READERS)
@pytest.mark.parametrize("service", SERVICES)
def test_service_has_the_options_that_it_reads(service: str, orchestrator: str) -> None:
    more = ORCHESTRATOR_READERS[orchestrator]
    readers = {section: {**READERS.get(section, {}), **more.get(section, {})} for section in [*READERS, *more]}
    if orchestrator == "kubernetes":
        del readers["api"]["unix_socket"]
    expected = {(section, option) for section in readers for option, who in readers[section].items() if service in who}
    assert options(service, orchestrator) == expected
