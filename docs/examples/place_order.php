<?php
// Place one order over AMQP, its personal parts sealed. Needs PHP 8.1 with sodium (part of its core) and
// `composer require php-amqplib/php-amqplib`. In the clone's folder: php docs/examples/place_order.php
declare(strict_types=1);

require_once 'vendor/autoload.php';

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Message\AMQPMessage;

const SERVICE_OF = ['recipient' => 'shipping', 'contact' => 'notifications', 'billing' => 'payments'];
$env = parse_ini_file('.run/env', false, INI_SCANNER_RAW);
$number = 'AJ-' . hrtime(true);

// The buyer's part: a PayPal order over the total, created and approved. Here the sandbox plays it.
$wish = [['reference_id' => $number, 'amount' => '187.65', 'currency' => 'USD', 'decline' => false]];
$post = ['http' => ['method' => 'POST', 'header' => 'Content-Type: application/json', 'content' => json_encode($wish)]];
$made = json_decode(file_get_contents("{$env['PAYPAL_SANDBOX_URL']}/_sandbox/orders", false, stream_context_create($post)), true);
$event = json_decode(str_replace('NUMBER', $number, file_get_contents('docs/examples/order_placed.json')), true);
$event['data']['payment']['reference'] = $made['orders'][0]['id'];

// The shop's part: each personal part is sealed to the one service that may open it, and bound to this order by `for`.
$keys = array_column(json_decode(file_get_contents("{$env['ORDERS_HTTP_URL']}/keys"), true), null, 'service');
foreach (SERVICE_OF as $part => $service) {
    if (isset($event['data'][$part])) {
        $plain = json_encode($event['data'][$part] + ['for' => $number], JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR);
        $box = sodium_crypto_box_seal($plain, base64_decode($keys[$service]['public_key']));
        $event['data'][$part] = [
            'sealed_for' => $service, 'key_id' => $keys[$service]['key_id'], 'box' => base64_encode($box),
        ];
    }
}

$uri = parse_url($env['STOREFRONT_AMQP_URI']);
$connection = new AMQPStreamConnection(
    $uri['host'], $uri['port'], rawurldecode($uri['user']), rawurldecode($uri['pass']), rawurldecode(substr($uri['path'], 1)),
);
$channel = $connection->channel();
$channel->confirm_select();
$channel->set_return_listener(fn () => throw new RuntimeException('No queue took the event.'));
$channel->set_nack_handler(fn () => throw new RuntimeException('The broker did not take the event.'));
$message = new AMQPMessage(json_encode($event, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR), [
    'content_type' => 'application/cloudevents+json',
    'delivery_mode' => AMQPMessage::DELIVERY_MODE_PERSISTENT,
]);
$channel->basic_publish($message, 'storefront.events', $event['type'], true); // mandatory
$channel->wait_for_pending_acks_returns(10);
$channel->close();
$connection->close();
echo $number, PHP_EOL;
