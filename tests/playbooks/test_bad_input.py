# SPDX-License-Identifier: Apache-2.0
"""Bad input: the playbooks report it before they change anything.

A case is a mutation of a valid operator's directory, and words that the message must contain: the location (file and
line, or variable) and the remedy. As most of the time is Ansible's startup, two runs are parallel, and the cases of a
batch share a run, which must report all of them at once.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible.constants import DEFAULT_VAULT_ID_MATCH
from ansible.parsing.vault import VaultLib, VaultSecret
from operator_directory import SECRET, fill, play

# Names and ports that no other deployment uses.
GLOBALS = {
    "qinling_container_prefix": "badinput_",
    "database_port": 26306,
    "rabbitmq_port": 26672,
    "rabbitmq_cluster_port": 26673,
    "rabbitmq_epmd_port": 26369,
    "memcached_port": 26211,
    "etcd_client_port": 26379,
    "etcd_peer_port": 26380,
    "keystone_public_port": 26500,
    "qinling_api_port": 26070,
    "qinling_gateway_port": 26071,
}
HOST = f"ansible_connection=local ansible_python_interpreter={sys.executable}"
VAULT = VaultLib([(DEFAULT_VAULT_ID_MATCH, VaultSecret(b"unknown to the run"))])

# Change the operator's directory, and return more variables for the command line; "inventory" is another inventory.
Mutation = Callable[[Path], dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """The exit code of a run, and its output with all whitespace as single blanks."""

    directory: Path
    code: int
    shown: str

    @property
    def findings(self) -> list[str]:
        """The findings in the message."""
        message = self.shown.partition("msg: ")[2].partition(" PLAY RECAP")[0]
        return [" ".join(item.split()) for item in re.split(r"(?:^|\s)- (?=\S)", message)[1:]] or [message]


def create_directory(directory: Path) -> Path:
    """Create a valid operator's directory, and return it."""
    (directory / "config/qinling").mkdir(parents=True)
    return fill(directory, {**GLOBALS, "node_config": str(directory / "node")})


def prechecks(directory: Path, mutate: Mutation) -> Outcome:
    """Change a valid operator's directory, run the prechecks with it, and return the outcome."""
    extra_vars = mutate(create_directory(directory))
    inventory = extra_vars.pop("inventory", "inventory/all-in-one")
    return Outcome(directory, *play(directory, "prechecks", inventory=inventory, **extra_vars))


def variables(**more: Any) -> Mutation:
    """Set variables on the command line."""
    return lambda _: dict(more)


def settings(text: str) -> Mutation:
    """Append lines to globals.yml."""
    return append("globals.yml", text + "\n")


def file(name: str, content: str | bytes) -> Mutation:
    """Write a file of the operator."""

    def write(operator: Path) -> dict[str, Any]:
        path = operator / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return {}

    return write


def append(name: str, content: str) -> Mutation:
    """Append lines to a file of the operator."""

    def write(operator: Path) -> dict[str, Any]:
        with (operator / name).open("a") as stream:
            stream.write(content)
        return {}

    return write


def remove(name: str) -> Mutation:
    """Remove a file of the operator."""

    def unlink(operator: Path) -> dict[str, Any]:
        (operator / name).unlink()
        return {}

    return unlink


def directory_at(name: str) -> Mutation:
    """Replace a file with a directory."""

    def put(operator: Path) -> dict[str, Any]:
        (operator / name).unlink(missing_ok=True)
        (operator / name).mkdir()
        return {}

    return put


def dangling_link(name: str) -> Mutation:
    """Replace a file with a dangling link."""

    def put(operator: Path) -> dict[str, Any]:
        (operator / name).unlink(missing_ok=True)
        (operator / name).symlink_to(operator / "gone")
        return {}

    return put


def password(name: str, value: str) -> Mutation:
    """Replace a password with a value in YAML notation."""

    def write(operator: Path) -> dict[str, Any]:
        path = operator / "passwords.yml"
        path.write_text(re.sub(rf"(?m)^{name}: .*$", lambda _: f"{name}: {value}", path.read_text()))
        return {}

    return write


def inventory(text: str) -> Mutation:
    """Use another inventory."""

    def write(operator: Path) -> dict[str, Any]:
        (operator / "hosts").write_text(text)
        return {"inventory": str(operator / "hosts"), "enable_qinling": True, "enable_etcd": True}

    return write


def vaulted(name: str) -> Mutation:
    """Encrypt a file of the operator."""

    def encrypt(operator: Path) -> dict[str, Any]:
        (operator / name).write_bytes(VAULT.encrypt((operator / name).read_bytes()))
        return {}

    return encrypt


def all_of(*mutations: Mutation) -> Mutation:
    """Combine several mutations."""

    def mutate(operator: Path) -> dict[str, Any]:
        return {name: value for mutation in mutations for name, value in mutation(operator).items()}

    return mutate


VAULTED_VALUE = "!vault |\n" + "".join(f"  {line}\n" for line in VAULT.encrypt(SECRET).decode().splitlines())
BINARY = b"\x7fELF\x02\x01\n\xff\xfe\x00"
TWO_NAMES = f"one {HOST}\ntwo {HOST}\n[etcd]\none\n[qinling-api]\none\ntwo\n[qinling-engine]\none\n"
BALANCED = ("etcd", "loadbalancer", "mariadb", "rabbitmq", "memcached", "qinling-api", "qinling-engine")
POLICY = "config/qinling/policy"

NONSENSE = """\
mariadb_max_connections: "5_12"
keystone_workers: 0
keystone_threads: -1
memcached_max_memory: -1
memcached_connection_limit: 0
mariadb_innodb_buffer_pool_size: lots
rabbitmq_nodename: rabbit
default_container_dimensions: {memlimit: 1G}
qinling_api_dimensions: {mem_limit: lots}
default_extra_volumes: ["relative/path:/x"]
qinling_api_extra_volumes: ["/nowhere:/x:rx"]
qinling_engine_extra_volumes: [/a]
qinling_container_environment: {"a b": [1]}
qinling_api_healthcheck: {interval: 5 parsecs, test: []}
qinling_log_max_size: 0
qinling_log_max_count: -1
qinling_database_user: "a'b"
qinling_database_name: q; DROP TABLE x
qinling_keystone_role: nosuchrole
openstack_cacert: /nowhere/ca.pem
qinling_runtimes: [{name: python3, image: "Not A Valid/Image:@"}]
qinling_swarm_placement_constraints: [node.labels]
proxysql_admin_port: 07070"""

Cases = dict[str, tuple[Mutation, list[str]]]
# Each case in a separate run.
SINGLE: Cases = {
    "a tab in globals.yml": (settings("a:\n\tb: c"), ["globals.yml:14: not valid YAML", "spaces, not tabs"]),
    "globals.yml is a list": (file("globals.yml", "- enable_qinling\n"), ["globals.yml:1: expected a mapping"]),
    "globals.yml is a directory": (directory_at("globals.yml"), ["globals.yml: is a directory; expected a file"]),
    "globals.yml is a dangling link": (
        dangling_link("globals.yml"),
        ["globals.yml: is a link to", "which does not exist"],
    ),
    "globals.yml is encrypted, no vault password": (vaulted("globals.yml"), ["globals.yml: cannot be read", "vault"]),
    "a duplicate variable": (settings("database_port: 1"), ["globals.yml:13: database_port is a duplicate of line 2"]),
    "a list is not a list": (variables(qinling_backing_services=5), ["qinling_backing_services: expected a list"]),
    "an action of another playbook": (
        variables(kolla_action="post-deploy"),
        ["kolla_action=post-deploy has a playbook of its own: run qinling.kolla.post_deploy"],
    ),
    "an unknown action": (variables(kolla_action="deplyo"), ["kolla_action: expected one of", "deplyo"]),
    "a relative operator's directory": (
        variables(kolla_config_dir="etc/kolla"),
        ["kolla_config_dir: expected an absolute path, got the string 'etc/kolla'"],
    ),
    "a missing interface": (
        variables(network_interface="eth99"),
        ["api_interface_address: cannot be evaluated", "eth99, which is not among its interfaces"],
    ),
    "two services on one port": (
        variables(memcached_port=26070),
        ["port 26070 on 127.0.0.1 is used by", "qinling-api (qinling_api_port)", "memcached (memcached_port)"],
    ),
    "Kubernetes without certificates, also for the engine": (
        variables(
            qinling_kube_host="https://127.0.0.1:1",
            qinling_kubernetes_certificates=True,
            qinling_kubernetes_certificates_services=["qinling-api"],
        ),
        [
            "kubernetes_ca.crt: does not exist",
            "kubernetes.key: does not exist",
            "run the playbook qinling.kolla.kubernetes_credentials",
            "qinling_kubernetes_certificates_services: qinling-engine is not among the services",
        ],
    ),
    "no passwords.yml": (remove("passwords.yml"), ["passwords.yml", 'run the playbook "passwords"']),
    "no passwords of the cloud": (
        all_of(remove("passwords.yml"), variables(qinling_backing_services=[])),
        ["passwords.yml", "all others belong to the cloud and come from kolla-genpwd"],
    ),
    "a missing group": (
        inventory(f"one {HOST}\n[etcd]\none\n[qinling-api]\none\n"),
        ["group qinling-engine: is not in the inventory", "add [qinling-engine]"],
    ),
    "a group without hosts": (
        inventory(f"one {HOST}\n[etcd]\none\n[qinling-api]\n[qinling-engine]\none\n"),
        ["group qinling-api: has no hosts, but qinling is enabled; add one to [qinling-api]"],
    ),
    "the load balancer's containers are missing": (
        all_of(
            inventory(f"one {HOST}\n" + "".join(f"[{group}]\none\n" for group in BALANCED)),
            append("passwords.yml", f"proxysql_admin_password: {SECRET}\n"),
            variables(qinling_haproxy_container="nowhere_haproxy", qinling_proxysql_container="nowhere_proxysql"),
        ),
        [
            "the container nowhere_haproxy of the load balancer does not run: start it",
            "the container nowhere_proxysql of the load balancer does not run: start it",
        ],
    ),
    "one machine under two names": (inventory(TWO_NAMES), ["hosts one, two: are the same machine", "keep one of them"]),
    "a missing inventory": (lambda _: {"inventory": "/nowhere/hosts"}, ["/nowhere/hosts"]),
    "a policy that is not JSON": (file(f"{POLICY}.json", '{"runtime:create": '), ["policy.json:1: not valid JSON"]),
    "an unreachable registry": (
        variables(docker_registry="127.0.0.1:9"),
        ["registry 127.0.0.1:9 cannot be reached", "docker_registry"],
    ),
    "several kinds of problems at once": (
        all_of(
            settings(
                "qinling_min_timeout: soon\nqinling_min_cpu: 500\nqinling_swarm_replica: 1\nqinling_orchestrator: [x]"
            ),
            password("qinling_database_password", ""),
            file("config/qinling/qinling-api.conf", "[api]\nno sense\n"),
            file(f"{POLICY}.yaml", "runtime:create: rule:nobody\n"),
            file("config/qinling/control09/qinling.conf", "[DEFAULT]\ndebug = true\n"),
        ),
        [
            "found 8 problems",
            "globals.yml:13: qinling_min_timeout: expected an integer, got the string 'soon'",
            "globals.yml:14: qinling_min_cpu: qinling_min_cpu is 500 and qinling_default_cpu is 100",
            "globals.yml:15: qinling_swarm_replica: unknown variable",
            "globals.yml:16: qinling_orchestrator: expected a string, got the list",
            "passwords.yml: these passwords are empty: qinling_database_password",
            "qinling-api.conf:2",
            "policy.yaml:1: rule runtime:create: it refers to rule:nobody",
            "config/qinling/control09: the inventory has no host control09",
        ],
    ),
    "values that a service would reject or misread": (
        settings(NONSENSE),
        [
            "globals.yml:13: mariadb_max_connections: expected an integer, got the string '5_12'",
            "globals.yml:14: keystone_workers: expected an integer, at least 1, got the integer 0",
            "globals.yml:15: keystone_threads: expected an integer, at least 1, got the integer -1",
            "globals.yml:16: memcached_max_memory: expected an integer, at least 1, got the integer -1",
            "globals.yml:17: memcached_connection_limit: expected an integer, at least 1",
            "globals.yml:18: mariadb_innodb_buffer_pool_size: expected a size such as 128M or 2G, got the string",
            "globals.yml:19: rabbitmq_nodename: expected a node's name as name@host, got the string 'rabbit'",
            "globals.yml:20: default_container_dimensions: unknown keys: memlimit; expected blkio_weight",
            "globals.yml:21: qinling_api_dimensions: mem_limit expected a size in bytes, or with a unit such as 512M",
            "globals.yml:22: default_extra_volumes: element 1: expected source:target or source:target:mode",
            "got the string 'relative/path:/x'",
            "globals.yml:23: qinling_api_extra_volumes: element 1: expected source:target",
            "got the string '/nowhere:/x:rx'",
            "globals.yml:24: qinling_engine_extra_volumes: element 1: expected source:target",
            "got the string '/a'",
            "globals.yml:25: qinling_container_environment: key expected a variable's name",
            "globals.yml:25: qinling_container_environment: a b expected a string, a number, or a quoted boolean",
            "globals.yml:26: qinling_api_healthcheck: test is empty; expected a command",
            "globals.yml:26: qinling_api_healthcheck: interval expected seconds, or a duration such as 30s",
            "globals.yml:27: qinling_log_max_size: expected an integer, at least 1, got the integer 0",
            "globals.yml:28: qinling_log_max_count: expected an integer, at least 1, got the integer -1",
            "globals.yml:29: qinling_database_user: expected a database user's name",
            "globals.yml:30: qinling_database_name: expected a database's name",
            "qinling_keystone_role: nosuchrole is not one of service, admin: a role that Keystone does not have is",
            "globals.yml:32: openstack_cacert: /nowhere/ca.pem is not in the container of qinling-api, which reads it "
            "for [keystone_authtoken] cafile",
            "openstack_cacert: /nowhere/ca.pem is not in the container of qinling-engine",
            "kolla_admin_openrc_cacert: /nowhere/ca.pem is not a file on the host",
            "globals.yml:33: qinling_runtimes: element 1: image expected an image",
            "globals.yml:34: qinling_swarm_placement_constraints: element 1: expected key==value or key!=value",
            "globals.yml:35: proxysql_admin_port: YAML reads 07070 as 3640; expected a plain decimal number",
        ],
    ),
}
# Each batch in one run.
BATCHES: list[Cases] = [
    {
        "globals.yml is not YAML": (file("globals.yml", "enable_qinling: [\n"), ["globals.yml:2: not valid YAML"]),
        "passwords.yml is not YAML": (file("passwords.yml", "a: 'b\n"), ["passwords.yml:2: not valid YAML"]),
    },
    {
        "globals.yml is binary": (file("globals.yml", BINARY), ["globals.yml:2: not UTF-8"]),
        "passwords.yml is binary": (file("passwords.yml", BINARY), ["passwords.yml:2: not UTF-8"]),
    },
    {
        "a misspelled variable": (
            settings("qinling_api_prot: 7070"),
            ["qinling_api_prot: unknown variable; did you mean qinling_api_port?"],
        ),
        "a variable without a value": (
            settings("qinling_max_cpu:"),
            ["qinling_max_cpu: has no value; expected an int"],
        ),
        "an undefined variable": (
            settings('qinling_min_cpu: "{{ nothing_of_this_name }}"'),
            ["qinling_min_cpu: cannot be evaluated: 'nothing_of_this_name' is undefined"],
        ),
        "an invalid template": (settings('qinling_tag: "{{ 1 + }}"'), ["qinling_tag: cannot be evaluated"]),
        "an invalid boolean": (
            settings("enable_container_healthchecks: ture"),
            ["enable_container_healthchecks: expected a boolean (yes or no), got the string 'ture'"],
        ),
        "an enable variable that is not a boolean": (
            variables(enable_ceilometer="maybe"),
            ["enable_ceilometer: expected a boolean"],
        ),
        "a port is out of range": (
            variables(qinling_api_port=70000),
            ["qinling_api_port: expected a port (1 to 65535), got the integer 70000"],
        ),
        "a list in globals.yml is not a list": (
            settings("qinling_gateway_subnets: 10.0.0.0/8"),
            ["qinling_gateway_subnets: expected a list, got the string '10.0.0.0/8'"],
        ),
        "an unknown backing service": (
            variables(qinling_backing_services=["etcd", "postgresql"]),
            ["qinling_backing_services: element 2: expected one of etcd, mariadb", "'postgresql'"],
        ),
        "certificates for a service that cannot use them": (
            variables(qinling_kubernetes_certificates_services=["qinling-engine", "etcd"]),
            ["qinling_kubernetes_certificates_services: element 2: expected one of qinling-api, qinling-engine"],
        ),
        "an unknown orchestrator": (
            variables(qinling_orchestrator="mesos"),
            ["qinling_orchestrator: expected one of kubernetes, swarm, got the string 'mesos'"],
        ),
        "another container engine": (
            variables(kolla_container_engine="podman"),
            ["kolla_container_engine: expected one of docker, got the string 'podman'"],
        ),
        "no replicas": (
            variables(qinling_swarm_replicas=0),
            ["qinling_swarm_replicas: expected an integer, at least 1, got the integer 0"],
        ),
        "a negative timeout": (
            variables(qinling_rpc_response_timeout=-5),
            ["qinling_rpc_response_timeout: expected an integer, at least 1, got the integer -5"],
        ),
        "minimum memory above the maximum": (
            variables(qinling_min_memory=268435456, qinling_default_memory=268435456),
            [
                "qinling_default_memory is 268435456",
                "qinling_min_memory ≤ qinling_default_memory ≤ qinling_max_memory",
            ],
        ),
        "default timeout above the maximum": (
            variables(qinling_default_timeout=600),
            ["qinling_default_timeout is 600 and qinling_max_timeout is 300"],
        ),
        "an invalid network": (
            variables(qinling_kubernetes_egress_allowed_cidrs=["10.0.0.0/8", "10.0.0.1/33"]),
            ["qinling_kubernetes_egress_allowed_cidrs: element 2: expected a network", "'10.0.0.1/33'"],
        ),
        "a subnet with host bits": (
            variables(qinling_gateway_network_subnet="172.29.0.1/24"),
            ["qinling_gateway_network_subnet: expected an IPv4 network", "'172.29.0.1/24'"],
        ),
        "a prefix with a blank": (
            variables(qinling_container_prefix="my cloud_"),
            ["qinling_container_prefix: expected a prefix of letters", "'my cloud_'"],
        ),
        "a registry with a scheme": (
            variables(docker_registry="https://registry.example.org"),
            ["docker_registry: expected a registry as host:port, without scheme"],
        ),
        "a relative directory of overrides": (
            settings("node_custom_config: config"),
            ["node_custom_config: expected an absolute path, got the string 'config'"],
        ),
        "a runtime without image": (
            settings("qinling_runtimes:\n  - name: python3"),
            ["qinling_runtimes: element 1: image is missing"],
        ),
    },
    {
        "a port is not a number": (variables(qinling_api_port="http"), ["qinling_api_port: expected a port", "'http'"]),
        "enable_qinling is not a boolean": (
            variables(enable_qinling="ture"),
            ["enable_qinling: expected a boolean", "'ture'"],
        ),
        "a duplicate runtime": (
            variables(qinling_runtimes=[{"name": "python3", "image": "a"}, {"name": "python3", "image": "b"}]),
            ["qinling_runtimes: name 'python3' is not unique"],
        ),
        "an endpoint without scheme": (
            variables(qinling_public_endpoint="functions.example.org:7070"),
            ["qinling_public_endpoint: expected a URL"],
        ),
        "an endpoint of IPv6 without brackets": (
            variables(qinling_internal_endpoint="http://fd00::5:7070"),
            ["qinling_internal_endpoint: expected a URL (scheme://host, an IPv6 address in brackets)"],
        ),
        "a database of IPv6 without brackets": (
            variables(qinling_database_address="fd00::5:3306"),
            ["qinling_database_address: expected host:port, an IPv6 address in brackets"],
        ),
        "a name with a scheme": (
            variables(kolla_internal_fqdn="http://cloud.example.org"),
            ["kolla_internal_fqdn: expected a host's name or address, without scheme"],
        ),
        "an empty virtual address": (
            settings('kolla_internal_vip_address: ""'),
            ["kolla_internal_vip_address: is empty; expected an IP address"],
        ),
        "an invalid address": (
            variables(kolla_external_vip_address="10.0.0.300"),
            ["kolla_external_vip_address: expected an IP address, got the string '10.0.0.300'"],
        ),
        "Keystone without version": (
            variables(qinling_www_authenticate_uri="http://127.0.0.1:5000"),
            ["qinling_www_authenticate_uri: expected Keystone's URL, which ends in /v3"],
        ),
        "Kubernetes over http": (
            variables(qinling_kube_host="http://127.0.0.1:8001"),
            ["qinling_kube_host: expected a URL that begins with https://"],
        ),
    },
    {
        "runtimes as a mapping": (
            settings("qinling_runtimes:\n  python3: image"),
            ["globals.yml:13: qinling_runtimes: expected a list, got the mapping"],
        ),
        "an empty password": (
            password("memcache_secret_key", ""),
            ["passwords.yml: these passwords are empty: memcache_secret_key"],
        ),
        "a password that is not a string": (
            password("rabbitmq_password", "[a, b]"),
            ["passwords.yml: these passwords are not strings: rabbitmq_password; quote them"],
        ),
        "a password of two lines": (
            password("database_password", f'"{SECRET}\\n{SECRET}"'),
            ["not valid in a configuration file", "database_password; change them"],
        ),
        "an encrypted password, no vault password": (
            password("qinling_database_password", VAULTED_VALUE),
            ["passwords.yml: qinling_database_password cannot be evaluated", "vault"],
        ),
    },
    {
        "etcd is off": (variables(enable_etcd=False), ["enable_etcd", 'set enable_etcd: "yes"']),
        "an image that does not exist": (variables(openstack_tag="none-of-this-name"), ["none-of-this-name"]),
        "an invalid line": (
            file("config/qinling/qinling-engine.conf", "[kubernetes]\nkube_host\n"),
            ["qinling-engine.conf:2"],
        ),
        "a binary override": (file("config/qinling.conf", b"[a]\n" + BINARY), ["qinling.conf:3: not UTF-8"]),
        "an override with an invalid template": (
            file("config/global.conf", "[DEFAULT]\n{% if %}\n"),
            ["config/global.conf:2: not a valid template"],
        ),
        "an override with an undefined variable": (
            file("config/qinling/qinling-api.conf", "[api]\nhost = {{ nothing_of_this_name }}\n"),
            ["qinling-api.conf:2: cannot be rendered: 'nothing_of_this_name' is undefined"],
        ),
        "an override that is a directory": (
            directory_at("config/keystone.conf"),
            ["config/keystone.conf: is a directory; expected a file"],
        ),
        "an override that is a dangling link": (
            dangling_link("config/qinling/policy.json"),
            ["config/qinling/policy.json: is a link to", "which does not exist"],
        ),
        "an override of an unknown host": (
            file("config/qinling/localhots/qinling.conf", "[DEFAULT]\n"),
            ["config/qinling/localhots: the inventory has no host localhots; did you mean localhost?"],
        ),
        "an override with a wrong name": (
            file("config/qinling/qinling-engin.conf", "[DEFAULT]\n"),
            ["qinling-engin.conf: unused file; did you mean qinling/qinling-engine.conf?"],
        ),
        "a policy that is not YAML": (file(f"{POLICY}.yaml", "a: [\n"), ["policy.yaml:2: not valid YAML"]),
    },
    {
        "an unknown rule": (
            file(f"{POLICY}.yaml", "# mine\nruntime:creat: role:member\n"),
            ["policy.yaml:2: rule runtime:creat: unknown rule", "did you mean runtime:create?"],
        ),
        "a rule that refers to an unknown rule": (
            append(f"{POLICY}.yaml", "runtime:create: rule:nobody\n"),
            ["policy.yaml:3: rule runtime:create: it refers to rule:nobody, which does not exist"],
        ),
        "a check with a syntax error": (
            append(f"{POLICY}.yaml", "runtime:update: role:a role:b\n"),
            ["policy.yaml:4: rule runtime:update: expected 'and' or 'or' before 'role:b'"],
        ),
        "a rule that is not a string": (
            append(f"{POLICY}.yaml", "runtime:delete: [role:a]\n"),
            ["policy.yaml:5: rule runtime:delete: expected a check as one string in quotes"],
        ),
        "a duplicate rule": (
            append(f"{POLICY}.yaml", 'owner: "@"\nowner: "!"\n'),
            ["policy.yaml:7: rule owner: duplicate of line 6"],
        ),
        "an unknown option": (
            file("config/qinling/qinling-api.conf", "[api]\napi_treads = 6\n"),
            ["qinling-api.conf:2: [api] api_treads: unknown option", "did you mean [api] api_threads?"],
        ),
        "an invalid value of an option": (
            append("config/qinling/qinling-api.conf", "api_threads = many\n"),
            ["qinling-api.conf:3: [api] api_threads: invalid value: invalid literal"],
        ),
    },
]
CASES: Cases = {**SINGLE, **{name: case for batch in BATCHES for name, case in batch.items()}}
RUNS: list[Cases] = [*BATCHES, *({name: case} for name, case in SINGLE.items())]


@pytest.fixture(scope="session")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Outcome]]]:
    """Yield the outcomes of the selected cases, by case."""
    selected = {item.callspec.params.get("case") for item in request.session.items if hasattr(item, "callspec")}
    with ThreadPoolExecutor(2) as pool:
        started = {}
        for run in RUNS:
            if selected.intersection(run):
                mutate = all_of(*(mutation for mutation, _words in run.values()))
                started.update(dict.fromkeys(run, pool.submit(prechecks, tmp_path_factory.mktemp("operator"), mutate)))
        yield started
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("case", [name for run in RUNS for name in run])
def test_message_names_the_problem(
    case: str, outcomes: dict[str, Future[Outcome]], request: pytest.FixtureRequest
) -> None:
    outcome, words = outcomes[case].result(), CASES[case][1]
    shown = outcome.shown
    # For --junitxml: a table of cases and messages.
    messages = [text.replace(f"{outcome.directory}/", "") for text in outcome.findings]
    request.node.user_properties += [("message", text) for text in messages if any(word in text for word in words)]
    assert outcome.code != 0
    assert not [word for word in words if word not in shown], shown[-5000:]
    # The run fails before the first change, with the expected message, and without showing passwords.
    assert not (outcome.directory / "node").exists()
    assert not re.search(r"changed=[1-9]", shown)
    assert "Traceback" not in shown
    assert SECRET not in shown


def test_names_of_cases_are_unique() -> None:
    """A case would replace another one with the same name."""
    assert len(CASES) == len(SINGLE) + sum(map(len, BATCHES)) >= 60


def test_unusual_input_only_causes_warnings(tmp_path: Path) -> None:
    """The directory is valid otherwise, so the cases above fail only due to their mutations."""

    def readable_passwords(operator: Path) -> dict[str, Any]:
        (operator / "passwords.yml").chmod(0o644)
        return {}

    unusual = all_of(
        file("config/qinling/policy.json", "{}"),
        file("config/qinling/policy.yaml", '"runtime:create": role:cloud\n'),
        file("config/qinling/notes.txt", "x"),
        file("config/nova.conf", "x"),
        file("config/global.conf", "[DEFAULT]\nmy_ip = 10.0.0.1\n"),
        settings("qinling_own_value: 1"),
        readable_passwords,
    )
    outcome = prechecks(tmp_path / "operator", unusual)
    assert outcome.code == 0, outcome.shown[-3000:]
    for words in (
        "the policy is read from",
        "the role admin no longer suffices for runtime:create",
        "notes.txt: unused file",
        "global.conf:2: [DEFAULT] my_ip: unknown option, not registered by the libraries of qinling-api",
        "unused variables: qinling_own_value",
        "every user of this machine can read the passwords",
    ):
        assert words in outcome.shown
    assert "nova.conf" not in outcome.shown


def test_all_ports_in_use_are_reported(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        taken = {"qinling_api_port": one.getsockname()[1], "memcached_port": other.getsockname()[1]}
        outcome = prechecks(tmp_path / "operator", variables(**taken))
    assert outcome.code != 0
    assert f"port {taken['qinling_api_port']} on 127.0.0.1 for qinling-api (qinling_api_port)" in outcome.shown
    assert f"port {taken['memcached_port']} on 127.0.0.1 for memcached (memcached_port)" in outcome.shown
