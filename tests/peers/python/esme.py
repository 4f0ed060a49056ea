"""PyPI smpplib as an ESME against `maybug sim`: argv HOST PORT.

Binds, sends a long UCS-2 text in segments, collects a receipt for each and the MO that `maybug sim` sends by itself,
unbinds. Exits 1 with a sentence when something is off.
"""

import sys
import time

import smpplib.client
import smpplib.consts
import smpplib.exceptions
import smpplib.gsm

DEADLINE = time.monotonic() + 20


def check(holds, why):
    if not holds:
        sys.exit(f"smpplib as ESME: {why}")


def main(host, port):
    client = smpplib.client.Client(host, port, timeout=5, allow_unknown_opt_params=True)
    ids, receipts, mos = {}, {}, []

    def sent(pdu):
        check(pdu.status == 0, f"a segment got status {pdu.status}")
        ids[pdu.sequence] = pdu.message_id

    def received(pdu):
        if pdu.esm_class & 0x04:
            receipts[pdu.receipted_message_id.rstrip(b"\0")] = pdu
        else:
            mos.append(pdu.short_message)
        return 0

    client.set_message_sent_handler(sent)
    client.set_message_received_handler(received)
    client.connect()
    try:
        client.bind_transceiver(system_id="peer", password="wrong")
        check(False, "a wrong password was accepted")
    except smpplib.exceptions.PDUError as error:
        check(error.args[1] == smpplib.consts.SMPP_ESME_RINVPASWD, f"a wrong password got {error}")
    client.disconnect()
    client.connect()
    client.bind_transceiver(system_id="peer", password="secret")

    parts, coding, esm_class = smpplib.gsm.make_parts("Ĉu vi ŝatas longajn mesaĝojn? " * 5)
    check(len(parts) == 3, f"smpplib made {len(parts)} segments")
    for part in parts:
        client.send_message(
            source_addr_ton=smpplib.consts.SMPP_TON_INTL,
            source_addr="40404",
            dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
            destination_addr="27820001001",
            short_message=part,
            data_coding=coding,
            esm_class=esm_class,
            registered_delivery=True,
        )
    while not (len(ids) == 3 and set(ids.values()) <= set(receipts) and mos):
        check(time.monotonic() < DEADLINE, f"in 20 s: {len(ids)} responses, {len(receipts)} receipts, {len(mos)} MOs")
        client.read_once()
    for receipt in receipts.values():
        check(receipt.message_state == 2, f"a receipt has message_state {receipt.message_state}")
        check(b"stat:DELIVRD" in receipt.short_message, f"a receipt says {receipt.short_message}")
    check(mos[0] == b"Hello from a phone", f"the MO says {mos[0]}")
    client.unbind()
    client.disconnect()


main(sys.argv[1], int(sys.argv[2]))
