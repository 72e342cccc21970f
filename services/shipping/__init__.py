"""Shipping: from a paid order to a delivered parcel.

Owns: pick lists, parcels, labels, tracking. Of a person: the recipient part, sealed, until delivery and the claim time after it.
Hears: recipient_entrusted, payment_authorised, payment_captured, payment_capture_failed, order_held, order_cancelled; staff; the
carrier's webhook. Says: pick_list_issued, parcel_packed, label_created, shipment_dispatched, shipment_delivered, part_refused.
Talks to: the carrier.
"""
