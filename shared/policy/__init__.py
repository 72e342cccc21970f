"""The privacy policy as the configuration that the system obeys: the file, its reading, and what is compiled from it.

It knows the shared words and no pipe. What runs (broker, databases, gateways, logs) takes its rules from here, or is held against them.
"""

from shared.policy.document import Policy
from shared.policy.loading import POLICY_FILE, Place, PolicyRefused, load
from shared.policy.versions import VersionsRefused, load_versions

__all__ = ["POLICY_FILE", "Place", "Policy", "PolicyRefused", "VersionsRefused", "load", "load_versions"]
