# SPDX-License-Identifier: Apache-2.0
"""qinling-api: Qinling's API under gunicorn."""

import sys

from oslo_config import cfg

from qinling_kolla import wsgi
from qinling_kolla.cmd import start


def serve(conf: cfg.ConfigOpts) -> None:
    """Serve until stopped."""
    # Imported before the fork, so that workers share its memory. It opens no connections.
    import qinling.api.app  # noqa: F401

    wsgi.Server(conf).run()


def main() -> int:
    """Run the API; return the exit code."""
    return start.run(wsgi.SERVICE, serve)


if __name__ == "__main__":
    sys.exit(main())
