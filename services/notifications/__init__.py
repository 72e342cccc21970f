"""Notifications: the three service mails of an order, each once.

Owns: which mails an order's customer is owed and got. Of a person: the contact part, sealed, until the order's last mail.
Hears: contact_entrusted, payment_authorised, shipment_dispatched, shipment_delivered, order_cancelled. Says: mail_sent, part_refused.
Talks to: an SMTP server.
"""
