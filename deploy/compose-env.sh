#!/bin/sh
# Print fresh secrets for docker-compose.yml as KEY=value lines:  (umask 077; deploy/compose-env.sh > .env)
set -eu
hex() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
key() { head -c 32 /dev/urandom | base64 | tr -d '\n'; }
for name in BROKER_ADMIN_PASSWORD DATA_ADMIN_PASSWORD KEYRING_ADMIN_PASSWORD \
    ORDERS_PASSWORD PAYMENTS_PASSWORD SHIPPING_PASSWORD NOTIFICATIONS_PASSWORD STOREFRONT_PASSWORD \
    STOREFRONT_TOKEN STAFF_TOKEN CARRIER_WEBHOOK_SECRET PAYPAL_CLIENT_SECRET TWOCHECKOUT_SECRET_KEY CARRIER_API_KEY; do
    echo "$name=$(hex)"
done
for name in ORDERS_PERSONS_KEY PAYMENTS_MASTER_KEY SHIPPING_MASTER_KEY NOTIFICATIONS_MASTER_KEY; do
    echo "$name=$(key)"
done
