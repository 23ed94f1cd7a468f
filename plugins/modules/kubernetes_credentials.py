#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_credentials
short_description: Manage a client certificate of a Kubernetes cluster on the controller
version_added: 0.1.0
description:
  - Creates and approves a certificate signing request as an administrator (C(certificates.k8s.io/v1), or C(v1beta1) on
    clusters before 1.19), and writes C(kubernetes_ca.crt), C(kubernetes.crt) and C(kubernetes.key) atomically, with
    mode C(0600).
  - A valid certificate for this user and cluster is retained until it is due for renewal.
  - Always runs on the controller. The private key is generated there and does not leave it.
author:
  - the qinling.kolla authors (@qinling-kolla)
requirements:
  - kubernetes, the Python client, in Ansible's Python environment on the controller
extends_documentation_fragment:
  - qinling.kolla.attributes
options:
  kubeconfig:
    description: Kubeconfig of an administrator. It has to contain the CA of the cluster.
    type: path
    required: true
  context:
    description: Context in the kubeconfig. The default is its current context.
    type: str
  directory:
    description: Directory on the controller for the three files.
    type: path
    required: true
  user:
    description: The user's name in the cluster, which is the certificate's common name.
    type: str
    required: true
  state:
    description:
      - V(absent) removes the files if they belong to this user. Kubernetes cannot revoke a certificate; to revoke its
        permissions, remove the RoleBinding, which this module does not do.
    type: str
    choices: [present, absent]
    default: present
  renew:
    description: Whether to request a new certificate even if the present one is valid.
    type: bool
    default: false
  renew_days:
    description: Days before its expiry from which a certificate is renewed, but not before two thirds of its lifetime.
    type: int
    default: 30
  days:
    description: Requested lifetime in days; V(0) uses the cluster's default. Needs Kubernetes 1.22.
    type: int
    default: 0
  encrypt:
    description: Whether to encrypt the key with ansible-vault. An encrypted key remains encrypted after a renewal.
    type: bool
    default: false
  wait:
    description: Seconds to wait for the cluster's signature.
    type: float
    default: 60
attributes:
  check_mode:
    support: full
    description: Reports whether files would change. Reads from the cluster, but does not request a certificate.
  diff_mode:
    support: full
    description: Shows the user and the expiry of the certificate, but not the content of the files.
seealso:
  - module: qinling.kolla.kubernetes_check
"""

EXAMPLES = r"""
- name: Credentials | Ensure that Qinling has a certificate
  qinling.kolla.kubernetes_credentials:
    kubeconfig: ~/.kube/config
    directory: /etc/kolla/config/qinling/qinling-engine
    user: qinling
"""

RETURN = r"""
reason:
  description: Reason for the change; empty if nothing changed.
  returned: success
  type: str
  sample: it expires on 2026-12-01 08:00 UTC
files:
  description: The changed files.
  returned: success
  type: list
  elements: str
kube_host:
  description: URL of the API server.
  returned: when O(state=present)
  type: str
  sample: https://192.0.2.10:6443
user:
  description: The certificate's user.
  returned: success
  type: str
expires:
  description: Expiry time of the certificate.
  returned: success
  type: str
  sample: 2027-11-22 17:41 UTC
"""
