# Place one order over HTTP, its personal parts in the clear. In the clone's folder: sh docs/examples/place_order.sh
set -eu
. ./.run/env
number="AJ-$(date +%s)"

# The buyer's part: a PayPal order over the total, created and approved. Here the sandbox plays it.
reference=$(curl -fsS "$PAYPAL_SANDBOX_URL/_sandbox/orders" \
    -d '[{"reference_id": "'"$number"'", "amount": "187.65", "currency": "USD", "decline": false}]' |
    sed 's/.*"id": *"\([A-Z0-9]*\)".*/\1/')

# The shop's part: one event.
sed "s/NUMBER/$number/; s/REFERENCE/$reference/" docs/examples/order_placed.json |
    curl -fsS "$ORDERS_HTTP_URL/events" -H "Authorization: Bearer $STOREFRONT_TOKEN" \
        -H "Content-Type: application/cloudevents+json" --data-binary @-
echo
