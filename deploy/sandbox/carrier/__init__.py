"""A stand-in for a carrier behind ShipEngine's API: labels, their PDFs, tracking and the webhooks about it."""
