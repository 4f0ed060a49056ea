// An ESME on the npm `smpp` library: binds, submits, waits for every response and receipt, unbinds.
// Usage: node esme.mjs HOST PORT. Prints one JSON object a line; exits 1 with a sentence when something is wrong.
import smpp from 'smpp';

const [host, port] = process.argv.slice(2);
// The library announces GSM text as ASCII unless told otherwise.
const messages = [
  { short_message: 'Hello {world} €', data_coding: 0 },
  { short_message: 'Zażółć gęślą jaźń 😀' },
  { short_message: 'x'.repeat(100), data_coding: 0 },
];
const ids = new Set();
let receipts = 0;

function fail(message) {
  console.error(message);
  process.exit(1);
}
setTimeout(() => fail('no end within 20 seconds'), 20000).unref();

const session = smpp.connect({ url: `smpp://${host}:${port}` });
session.on('error', (error) => fail(`connection: ${error.message}`));
session.on('connect', () => {
  session.bind_transceiver({ system_id: 'node', password: 'secret' }, (bound) => {
    if (bound.command_status !== 0) fail(`bind refused: ${bound.command_status}`);
    console.log(JSON.stringify({ bound: bound.system_id, version: bound.sc_interface_version }));
    session.enquire_link({}, (alive) => {
      if (alive.command_status !== 0) fail('enquire_link refused');
      messages.forEach(submit);
    });
  });
});

function submit(text) {
  const message = { source_addr: '40404', destination_addr: '27820001001', registered_delivery: 1, ...text };
  session.submit_sm(message, (answer) => {
    if (answer.command_status !== 0) fail(`submit refused: ${answer.command_status}`);
    if (!answer.message_id) fail('a response without message_id');
    ids.add(answer.message_id);
    finish();
  });
}

session.on('deliver_sm', (pdu) => {
  session.send(pdu.response());
  if (!(pdu.esm_class & 4)) fail('a deliver_sm that is no receipt');
  const text = pdu.short_message.message ?? pdu.short_message;
  if (!/^id:\S+ sub:001 dlvrd:001 submit date:\d{10} done date:\d{10} stat:DELIVRD err:000 text:/.test(text)) {
    fail(`a receipt of another form: ${text}`);
  }
  if (pdu.message_state !== 2) fail(`message_state is ${pdu.message_state}`);
  receipts += 1;
  finish();
});

function finish() {
  if (ids.size < messages.length || receipts < messages.length) return;
  session.unbind({}, (answer) => {
    if (answer.command_status !== 0) fail('unbind refused');
    console.log(JSON.stringify({ ids: ids.size, receipts }));
    session.close(() => process.exit(0));
  });
}
