"""Every module here may ask for a scene of its own."""

from tests.integration.scene import scene

__all__ = ["scene"]
