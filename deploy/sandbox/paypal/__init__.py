"""A stand-in for PayPal: OAuth2, Orders v2 and Payments v2, as far as they are used here."""
