"""`python -m deploy.sandbox`: one outside party as a program of its own."""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
from pathlib import Path

from deploy.sandbox.carrier.party import Carrier
from deploy.sandbox.chance import Switches
from deploy.sandbox.journal import Journal
from deploy.sandbox.mailbox.party import Mailbox
from deploy.sandbox.mailbox.smtp import SmtpSession, SmtpSettings
from deploy.sandbox.party import Party
from deploy.sandbox.paypal.party import PayPal
from deploy.sandbox.serving import serve
from deploy.sandbox.twocheckout.party import TwoCheckout

_EPILOGUE = """\
Each sandbox is a stand-in for an outside party, as faithful to that party's API as what is used of it. It keeps requests and
effects in books of its own (GET /_books, GET /_books/summary, and DIR/<party>.jsonl), and by default goes wrong a little: it
loses answers after the effect, sends webhooks twice, declines payments. What goes wrong is chosen by hashes of the seed and of
the request, so that runs repeat. Once it listens, it prints one JSON line with its URL. SIGTERM or SIGINT ends it.
The control endpoints (beneath /_sandbox/) are listed in deploy/sandbox/README.md. Credentials may come from the environment,
under the names in square brackets, so that they need not stand on a command line.
"""


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    switches = Switches(options.seed, options.lose_answers, options.repeat_webhooks, options.decline)
    os.umask(0o077)  # the books are their owner's alone
    asyncio.run(_run(options, switches, Journal(options.books, options.party)))


async def _run(options: argparse.Namespace, switches: Switches, journal: Journal) -> None:
    if options.party == "mailbox":
        await _run_mailbox(options, Mailbox(switches, journal, rendered_mails=options.rendered_mails))
        return
    await serve(
        _party(options, switches, journal),
        host=options.host,
        port=options.port,
        ready_file=options.ready_file,
        tls=_certificate(options),
        control_port=options.control_port,
    )


def _certificate(options: argparse.Namespace) -> ssl.SSLContext | None:
    if not options.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.tls_cert, options.tls_key)
    return context


def _party(options: argparse.Namespace, switches: Switches, journal: Journal) -> Party:
    if options.party == "paypal":
        return PayPal(switches, journal, client_id=options.client_id, client_secret=options.client_secret)
    if options.party == "twocheckout":
        return TwoCheckout(switches, journal, merchant_code=options.merchant_code, secret_key=options.secret_key)
    carrier_ids = frozenset(options.carrier_id.split(","))
    return Carrier(switches, journal, api_key=options.api_key, carrier_ids=carrier_ids, webhook_url=options.webhook_url)


async def _run_mailbox(options: argparse.Namespace, mailbox: Mailbox) -> None:
    context = _certificate(options)
    settings = SmtpSettings(
        mailbox.take,
        credentials=(options.user, options.password) if options.user else None,
        starttls=None if options.implicit_tls else context,
    )
    servers: list[asyncio.Server] = []

    async def open_smtp() -> dict[str, str]:
        implicit = context if options.implicit_tls else None
        server = await asyncio.get_running_loop().create_server(
            lambda: SmtpSession(settings, encrypted=implicit is not None), options.host, options.port, ssl=implicit, backlog=1024
        )
        servers.append(server)
        scheme = "smtps" if implicit else "smtp+starttls" if context else "smtp"
        return {"smtp_url": f"{scheme}://{options.host}:{server.sockets[0].getsockname()[1]}"}

    def close_smtp() -> None:
        for server in servers:
            server.close()
        mailbox.finish()

    await serve(
        mailbox, host=options.host, port=options.control_port, ready_file=options.ready_file, more=open_smtp, at_end=close_smtp
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.sandbox",
        description="Run one outside party as a program of its own.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parties = parser.add_subparsers(dest="party", required=True, metavar="PARTY")
    paypal = _add(parties, "paypal", "PayPal: OAuth2, Orders v2 and Payments v2")
    _secret(paypal, "--client-id", "PAYPAL_CLIENT_ID", "sandbox-client")
    _secret(paypal, "--client-secret", "PAYPAL_CLIENT_SECRET", "sandbox-client-secret")
    twocheckout = _add(parties, "twocheckout", "2Checkout: REST 6.0 orders and the delivery notification (IDN)")
    _secret(twocheckout, "--merchant-code", "TWOCHECKOUT_MERCHANT_CODE", "SANDBOX")
    _secret(twocheckout, "--secret-key", "TWOCHECKOUT_SECRET_KEY", "sandbox-secret-key")
    carrier = _add(parties, "carrier", "a carrier with ShipEngine's API: labels, tracking, webhooks")
    _secret(carrier, "--api-key", "CARRIER_API_KEY", "TEST_sandbox")
    _secret(carrier, "--carrier-id", "CARRIER_ID", "se-100001", "the accounts it knows, separated by commas")
    carrier.add_argument(
        "--webhook-url",
        default=os.environ.get("CARRIER_WEBHOOK_URL", ""),
        help="where tracking webhooks go [CARRIER_WEBHOOK_URL] (later: PUT /_sandbox/webhook)",
    )
    mailbox = _add(parties, "mailbox", "an SMTP server that keeps every mail as files; --port is SMTP's")
    mailbox.add_argument("--implicit-tls", action="store_true", help="speak TLS from the first byte (smtps) instead of STARTTLS")
    mailbox.add_argument("--user", default=os.environ.get("MAILBOX_USER"), help="ask for a login [MAILBOX_USER]")
    mailbox.add_argument("--password", default=os.environ.get("MAILBOX_PASSWORD", ""), help="its password [MAILBOX_PASSWORD]")
    mailbox.add_argument(
        "--rendered-mails",
        type=int,
        default=1000,
        help="how many mails are rendered to .html and .txt by themselves (default 1000)",
    )
    return parser


def _add(parties: argparse._SubParsersAction[argparse.ArgumentParser], name: str, what: str) -> argparse.ArgumentParser:
    parser = parties.add_parser(
        name, help=what, description=what, epilog=_EPILOGUE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="the port, 0 for any free one (default)")
    parser.add_argument("--books", type=Path, required=True, help="the folder of the books; made where it is missing")
    parser.add_argument("--seed", type=int, default=1, help="what chance is made of (default 1)")
    parser.add_argument("--lose-answers", type=_share, default=0.02, help="share of answers lost after the effect (default 0.02)")
    parser.add_argument("--repeat-webhooks", type=_share, default=0.05, help="share of webhooks sent twice (default 0.05)")
    parser.add_argument("--decline", type=_share, default=0.02, help="share of payments declined (default 0.02)")
    parser.add_argument("--tls-cert", type=Path, help="a certificate chain (PEM): speak HTTPS, the mailbox offers STARTTLS")
    parser.add_argument("--tls-key", type=Path, help="its private key (PEM)")
    parser.add_argument(
        "--control-port",
        type=int,
        default=0,
        help="the mailbox's HTTP door, and with TLS the plain control door of the others (default: any)",
    )
    parser.add_argument("--ready-file", type=Path, help="gets the JSON line with the URLs once it listens")
    return parser


def _secret(parser: argparse.ArgumentParser, flag: str, variable: str, default: str, what: str = "") -> None:
    text = f"{what or 'what clients must send'} [{variable}] (default {default})"
    parser.add_argument(flag, default=os.environ.get(variable, default), help=text)


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError("a share lies between 0 and 1")
    return share


if __name__ == "__main__":
    main()
