"""Orders: takes in what storefronts send, passes each part to its one service, and knows where every order stands.

Owns: orders, their facts, the answers given. Of a person: the shop's customer id; sealed parts pass through unread and are not kept.
Hears: the storefront's events; payment_authorised, payment_declined, payment_captured, payment_capture_failed, pick_list_issued,
parcel_packed, label_created, shipment_dispatched, shipment_delivered, part_refused, intake_key_published. Says: recipient_entrusted,
contact_entrusted, billing_entrusted, order_accepted, order_held, order_cancelled, order_completed, and the contract's answers.
Talks to: nobody.
"""
