"""The keys of the fideslang taxonomy that a personal field or a purpose may be called by: the names alone, not the package.

`fideslang` itself holds pydantic back; its keys are public words. Only the current ones are listed, none that it calls deprecated.
"""

from __future__ import annotations

from typing import Final

DATA_CATEGORIES: Final = frozenset(
    {
        *("user", "user.account", "user.account.username", "user.authorization", "user.authorization.credentials"),
        *("user.authorization.biometrics", "user.authorization.password", "user.behavior", "user.behavior.browsing_history"),
        *("user.behavior.media_consumption", "user.behavior.purchase_history", "user.behavior.search_history", "user.biometrics"),
        *("user.children", "user.contact", "user.contact.address", "user.contact.address.city", "user.contact.address.country"),
        *("user.contact.address.mailing_address", "user.contact.address.postal_code", "user.contact.address.state"),
        *("user.contact.address.street", "user.contact.email", "user.contact.fax_number", "user.contact.phone_number"),
        *("user.contact.social_url", "user.content", "user.content.private", "user.content.public", "user.content.self_image"),
        *("user.criminal_history", "user.demographic", "user.demographic.age_range", "user.demographic.date_of_birth"),
        *("user.demographic.gender", "user.demographic.language", "user.demographic.marital_status", "user.device"),
        *("user.device.cookie", "user.device.cookie_id", "user.device.device_id", "user.device.ip_address"),
        *("user.device.telemetry", "user.financial", "user.financial.bank_account", "user.financial.credit_card"),
        *("user.government_id", "user.government_id.national_identification_number", "user.health", "user.location"),
        *("user.location.coarse", "user.location.precise", "user.name", "user.name.first", "user.name.last", "user.payment"),
        *("user.privacy_preferences", "user.professional_information", "user.settings", "user.social_activity", "user.unique_id"),
        *("system", "system.authentication", "system.operations"),
    }
)

DATA_USES: Final = frozenset(
    {
        *("analytics.reporting", "essential.legal_obligation", "essential.service", "essential.service.authentication"),
        *("essential.service.notifications", "essential.service.notifications.email", "essential.service.operations"),
        *("essential.service.operations.improve", "essential.service.operations.support", "essential.service.payment_processing"),
        *("essential.service.security", "marketing.communications.email", "third_party_sharing.legal_obligation"),
    }
)
