# SPDX-License-Identifier: Apache-2.0
"""Options that this package adds to qinling.conf.

``register`` registers them before the configuration is parsed; ``list_opts`` provides them to oslo.config's generator
and validator.
"""

from oslo_config import cfg

API_OPTS = [
    cfg.IntOpt("api_threads", default=32, min=1, help="Threads of each API worker."),
    cfg.StrOpt(
        "unix_socket",
        help="Path of a second listener, mode 0666, through which functions' networks reach the API. Empty: disabled.",
    ),
    cfg.IntOpt(
        "max_package_size",
        default=52428800,
        min=1,
        help="Largest function package that the API accepts, in bytes.",
    ),
    cfg.StrOpt(
        "job_handler_lock",
        default="/var/lib/qinling/job-handler.lock",
        help="File whose lock decides which API process of this host runs the job handler.",
    ),
    cfg.IntOpt(
        "graceful_timeout",
        default=5,
        min=1,
        help="Seconds that running requests may take to end when the API is stopped or reloaded.",
    ),
]

ENGINE_OPTS = [
    cfg.StrOpt(
        "health_socket",
        default="/run/qinling/engine-health.sock",
        help="Unix socket on which the engine reports its health over HTTP, for qinling-healthcheck.",
    ),
    cfg.StrOpt(
        "worker_credentials",
        default="trust",
        choices=[
            ("trust", "a token scoped to the function's trust"),
            ("password", "also the service user's name and password, for runtime images older than this package"),
        ],
        help="Credentials that a worker gets to act on behalf of the function's owner.",
    ),
    cfg.IntOpt(
        "worker_read_margin",
        default=60,
        min=1,
        help="Seconds that a worker may take beyond a function's timeout, to fetch the package and to respond.",
    ),
    cfg.IntOpt(
        "stuck_execution_grace",
        default=300,
        min=0,
        help="Seconds beyond timeout and margin after which a running execution counts as lost.",
    ),
]

SWARM_OPTS = [
    cfg.StrOpt("docker_host", default="unix:///var/run/docker.sock", help="Address of a Swarm manager's Docker API."),
    cfg.StrOpt("tls_ca_cert", help="CA certificate file for docker_host over TLS."),
    cfg.StrOpt("tls_cert_file", help="Client certificate file for docker_host over TLS."),
    cfg.StrOpt("tls_key_file", help="Client key file for docker_host over TLS."),
    cfg.StrOpt("network", default="qinling-functions", help="Attachable, internal overlay network of the workers."),
    cfg.IntOpt("replicas", default=3, min=1, help="Workers in the pool of each runtime."),
    cfg.StrOpt(
        "gateway_url",
        deprecated_name="relay_url",
        default="http://127.0.0.1:7071",
        help="Address of the function gateway. Empty: the engine connects to workers directly.",
    ),
    cfg.StrOpt(
        "log_level",
        default="INFO",
        choices=["DEBUG", "INFO", "WARNING", "ERROR"],
        help="Log level of the Docker client.",
    ),
    cfg.ListOpt("placement_constraints", default=[], help="Swarm placement constraints of every worker."),
    cfg.IntOpt("pool_timeout", default=600, min=1, help="Seconds to wait until the workers of a runtime are ready."),
]

KUBERNETES_OPTS = [
    cfg.StrOpt(
        "worker_access",
        default="proxy",
        choices=[
            ("proxy", "through the API server's proxy: opens no port"),
            ("nodeport", "through a node port: one hop less, but needs a route to the nodes"),
        ],
        help="How the engine reaches a worker.",
    ),
    cfg.BoolOpt("network_policy", default=True, help="Whether to create a network policy for the workers."),
    cfg.ListOpt(
        "egress_allowed_cidrs",
        default=[],
        help="Addresses inside egress_denied_cidrs that workers may still reach, such as Qinling's and Keystone's API.",
    ),
    cfg.ListOpt(
        "egress_denied_cidrs",
        default=["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"],
        help="Addresses that workers may not reach, where the cluster enforces network policies.",
    ),
    cfg.IntOpt("run_as_user", default=1000, min=1, help="User ID of the functions' processes."),
    cfg.ListOpt("image_pull_secrets", default=[], help="Names of the secrets for pulling runtime and function images."),
    cfg.IntOpt("pool_timeout", default=600, min=1, help="Seconds to wait until the workers of a runtime are ready."),
]

# The names that OpenStack services use.
SSL_OPTS = [
    cfg.StrOpt("cert_file", help="Certificate file of the API, with [api] enable_ssl_api."),
    cfg.StrOpt("key_file", help="Key file of the API; empty: the key is in cert_file."),
    cfg.StrOpt(
        "ca_file", help="CA certificate file; when set, clients of the API must show a certificate signed by it."
    ),
]

_GROUPS = (
    ("api", API_OPTS),
    ("ssl", SSL_OPTS),
    ("engine", ENGINE_OPTS),
    ("swarm", SWARM_OPTS),
    ("kubernetes", KUBERNETES_OPTS),
)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Return (group, options) pairs in the shape that oslo.config's generator expects."""
    return [(group, list(options)) for group, options in _GROUPS]


def register(conf: cfg.ConfigOpts = cfg.CONF) -> None:
    """Register the options with ``conf``; a second call changes nothing."""
    for group, options in _GROUPS:
        conf.register_opts(options, group=group)
