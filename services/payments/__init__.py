"""Payments: authorises an order's payment when the order is accepted, captures it when the label is bought.

Owns: the payment of each order, its amounts and the provider's references. Of a person: with 2Checkout the billing part while it
authorises, with PayPal nothing.
Hears: billing_entrusted; label_created. Says: payment_authorised, payment_declined, payment_captured, payment_capture_failed, part_refused.
Talks to: PayPal, 2Checkout.
"""
