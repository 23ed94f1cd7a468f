# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_check
short_description: Check the access of a host to a Kubernetes cluster
version_added: 0.1.0
description:
  - On the controller, checks a CA, a client certificate and a private key. Files that are encrypted with ansible-vault
    are decrypted in memory.
  - On the host, resolves the API server's address, connects, verifies the server's certificate, requests its version,
    and checks each permission of a manifest for the certificate's user (SelfSubjectAccessReview).
  - Reports all findings at once. The host needs only Python's standard library.
author:
  - the qinling.kolla authors (@qinling-kolla)
requirements:
  - cryptography, in Ansible's Python environment on the controller
extends_documentation_fragment:
  - qinling.kolla.attributes.read_only
options:
  kube_host:
    description: URL of the API server, C(https://name:port).
    type: str
  overrides:
    description:
      - Optional INI files of the operator. C(kube_host) and C(namespace) in their section C([kubernetes]) take
        precedence over O(kube_host) and O(namespace), as in qinling.conf.
    type: list
    elements: path
    default: []
  files:
    description:
      - The files on the controller, C(kubernetes_ca.crt), C(kubernetes.crt) and C(kubernetes.key), each with a list of
        paths. The first path that exists is used.
    type: dict
    required: true
  warn_days:
    description: Days before the expiry of a certificate from which the module issues a warning.
    type: int
    default: 30
  namespace:
    description: Namespace of Qinling.
    type: str
    default: qinling
  manifest:
    description: Manifest on the controller with the roles and role bindings that Qinling needs.
    type: path
    required: true
  timeout:
    description: Timeout of each network operation in seconds.
    type: float
    default: 10
  fail:
    description: Whether to fail if there are findings. With V(false), the findings are only returned.
    type: bool
    default: true
seealso:
  - module: qinling.kolla.kubernetes_credentials
"""

EXAMPLES = r"""
- name: Precheck | Check the access to Kubernetes
  qinling.kolla.kubernetes_check:
    kube_host: https://192.0.2.10:6443
    files:
      kubernetes_ca.crt: [/root/magnum/ca.pem, /etc/kolla/config/qinling/qinling-engine/kubernetes_ca.crt]
      kubernetes.crt: [/root/magnum/cert.pem, /etc/kolla/config/qinling/qinling-engine/kubernetes.crt]
      kubernetes.key: [/root/magnum/key.pem, /etc/kolla/config/qinling/qinling-engine/kubernetes.key]
    manifest: "{{ role_path }}/files/kubernetes-rbac.yml"
"""

RETURN = r"""
findings:
  description: The findings, one text each.
  returned: always
  type: list
  elements: str
user:
  description: The certificate's user name in Kubernetes; empty if the certificate is not valid.
  returned: always
  type: str
expires:
  description: Expiry time of the certificate.
  returned: if the certificate can be read
  type: str
  sample: "2027-11-22 17:41 UTC"
server_version:
  description: The server's version; empty if the server was not reached.
  returned: always
  type: str
  sample: v1.33.1
kube_host:
  description: The URL that was checked.
  returned: always
  type: str
"""
