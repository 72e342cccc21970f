"""A stand-in for 2Checkout: token orders over REST 6.0 and the delivery notification (IDN) that takes the money."""
