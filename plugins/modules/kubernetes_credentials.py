#!/usr/bin/python
# Copyright (c) 2026, the qinling.kolla authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_credentials
short_description: Keep a client certificate of a Kubernetes cluster on the controller
version_added: 0.1.0
description:
  - As an administrator, gets a certificate through the cluster's API of certificate signing requests
    (C(certificates.k8s.io/v1), or C(v1beta1) on clusters before 1.19), approves the request, and writes
    C(kubernetes_ca.crt), C(kubernetes.crt) and C(kubernetes.key), each replaced atomically, mode C(0600).
  - A certificate that is sound, for this user and of this cluster is kept until its end is near.
  - Runs on the controller whatever the task's host is; the private key is made there and given to nobody.
author:
  - the qinling.kolla authors
requirements:
  - kubernetes, the Python client, beside Ansible on the controller
options:
  kubeconfig:
    description: Kubeconfig of an administrator. It has to name the CA of the cluster.
    type: path
    required: true
  context:
    description: Context in the kubeconfig, if not its current one.
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
      - V(absent) removes the files if they are this user's. What the certificate may do in the cluster ends with the
        removal of its RoleBinding, which is not done here; Kubernetes has no revocation.
    type: str
    choices: [present, absent]
    default: present
  renew:
    description: Whether to get a new certificate even if there is a sound one.
    type: bool
    default: false
  renew_days:
    description: Days before its end from which on a certificate is renewed, but not before two thirds of its time.
    type: int
    default: 30
  days:
    description: Days that a new certificate shall last; 0 leaves it to the cluster. Heeded since Kubernetes 1.22.
    type: int
    default: 0
  encrypt:
    description: Whether to encrypt the key with ansible-vault. One that is encrypted stays so when it is renewed.
    type: bool
    default: false
  wait:
    description: Seconds to wait for the cluster's signature.
    type: float
    default: 60
attributes:
  check_mode:
    support: full
    description: Tells whether files would change. Reads from the cluster, but asks it for no certificate.
  diff_mode:
    support: full
    description: Shows user and end of the certificate, and nothing of the files.
"""

EXAMPLES = r"""
- name: Credentials | Keep a certificate for Qinling
  qinling.kolla.kubernetes_credentials:
    kubeconfig: ~/.kube/config
    directory: /etc/kolla/config/qinling/qinling-engine
    user: qinling
"""

RETURN = r"""
reason:
  description: Why something was changed, empty if nothing was.
  returned: success
  type: str
  sample: it expires on 2026-12-01 08:00 UTC
files:
  description: The files that were changed.
  returned: success
  type: list
  elements: str
kube_host:
  description: The API server's address.
  returned: when O(state=present)
  type: str
  sample: https://192.0.2.10:6443
user:
  description: The certificate's user.
  returned: success
  type: str
expires:
  description: When the certificate ends.
  returned: success
  type: str
  sample: 2027-11-22 17:41 UTC
"""
