# SPDX-License-Identifier: LGPL-3.0-or-later
"""The lab: hosts in namespaces, daemons, clients, incidents and the truth about them."""
