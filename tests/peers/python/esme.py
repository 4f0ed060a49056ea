"""An ESME on the PyPI library smpplib: binds, submits a long message, waits for responses and receipts, unbinds.

Usage: python esme.py HOST PORT. Exits 1 with a sentence when something is wrong.
"""
import socket
import sys

import smpplib.client
import smpplib.consts
import smpplib.gsm

host, port = sys.argv[1], int(sys.argv[2])
# No characters of the extension table: the library cuts their pairs in two.
text = "A long message with @ and £ signs. " * 8
parts, encoding, msg_type = smpplib.gsm.make_parts(text)
sent, receipts = set(), set()

client = smpplib.client.Client(host, port, timeout=20)
client.set_message_sent_handler(lambda pdu: sent.add(pdu.message_id))


def delivered(pdu):
    if pdu.receipted_message_id is None:
        sys.exit("a deliver_sm without receipted_message_id")
    if pdu.message_state != 2:
        sys.exit("message_state is %r" % pdu.message_state)
    receipts.add(pdu.receipted_message_id)
    return 0


client.set_message_received_handler(delivered)
client.connect()
client.bind_transceiver(system_id="python", password="secret")
for part in parts:
    client.send_message(
        source_addr_ton=smpplib.consts.SMPP_TON_ALNUM,
        source_addr="Maybug",
        dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
        dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
        destination_addr="27820001001",
        short_message=part,
        data_coding=encoding,
        esm_class=msg_type,
        registered_delivery=True,
    )
try:
    while len(sent) < len(parts) or len(receipts) < len(parts):
        client.read_once()
except socket.timeout:
    sys.exit("only %d of %d responses and %d receipts came" % (len(sent), len(parts), len(receipts)))
if {id.rstrip(b"\0") for id in sent} != {id.rstrip(b"\0") for id in receipts}:
    sys.exit("receipts %r are not those of %r" % (receipts, sent))
client.unbind()
client.disconnect()
print("%d parts, %d receipts" % (len(parts), len(receipts)))
