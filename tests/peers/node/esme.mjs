// npm `smpp` as an ESME against `maybug sim`: binds, is refused, sends GSM, UCS-2 and long text, gets receipts, queries,
// takes an MO that `maybug sim` sends by itself, unbinds. argv: HOST PORT. Exits 1 with a sentence when something is off.
import smpp from 'smpp';

const [host, port] = process.argv.slice(2);
const deadline = setTimeout(() => fail('nothing more happened within 20 s'), 20_000);

function fail(why) {
  console.error(`npm smpp as ESME: ${why}`);
  process.exit(1);
}
function check(holds, why) {
  if (!holds) fail(why);
}
const connect = () =>
  new Promise((resolve) => {
    const session = smpp.connect({ url: `smpp://${host}:${port}` }, () => resolve(session));
    session.on('error', (error) => fail(`connection: ${error.message}`));
  });
const ask = (session, method, fields) => new Promise((resolve) => session[method](fields, resolve));

const stranger = await connect();
const refused = await ask(stranger, 'bind_transceiver', { system_id: 'peer', password: 'wrong' });
check(refused.command_status === smpp.ESME_RINVPASWD, `a wrong password got status ${refused.command_status}`);
stranger.destroy();

const session = await connect();
const delivered = [];
let wake = () => {};
session.on('deliver_sm', (pdu) => {
  session.send(pdu.response());
  delivered.push(pdu);
  wake();
});
const until = async (find) => {
  for (;;) {
    const found = delivered.find(find);
    if (found) return found;
    await new Promise((resolve) => (wake = resolve));
  }
};
const bound = await ask(session, 'bind_transceiver', { system_id: 'peer', password: 'secret' });
check(bound.command_status === 0, `the bind got status ${bound.command_status}`);
check(bound.sc_interface_version === 0x34, `sc_interface_version is ${bound.sc_interface_version}`);

const text = (pdu) => pdu.short_message.message;
for (const content of ['Hello [you] for 5 €', 'Привет 😀']) {
  const response = await ask(session, 'submit_sm', {
    source_addr: '40404',
    destination_addr: '27820001001',
    registered_delivery: 1,
    short_message: content,
  });
  check(response.command_status === 0 && response.message_id, `"${content}" got status ${response.command_status}`);
  const receipt = await until((pdu) => pdu.receipted_message_id === response.message_id);
  check(receipt.esm_class === 4, `a receipt has esm_class ${receipt.esm_class}`);
  check(receipt.message_state === 2, `a receipt has message_state ${receipt.message_state}`);
  check(text(receipt).startsWith(`id:${response.message_id} `), `a receipt says "${text(receipt)}"`);
  check(text(receipt).includes('stat:DELIVRD'), `a receipt says "${text(receipt)}"`);
  const query = await ask(session, 'query_sm', { message_id: response.message_id, source_addr: '40404' });
  check(query.message_state === 2, `query_sm gives message_state ${query.message_state}`);
}

const parts = ['first half ', 'second half'].map((half, index) => ({
  udh: Buffer.from([5, 0, 3, 42, 2, index + 1]),
  message: half,
}));
for (const short_message of parts) {
  const response = await ask(session, 'submit_sm', { source_addr: '40404', destination_addr: '27820001002', short_message });
  check(response.command_status === 0, `a segment got status ${response.command_status}`);
}

const mo = await until((pdu) => pdu.esm_class === 0);
check(text(mo) === 'Hello from a phone', `the MO says "${text(mo)}"`);
check(mo.source_addr === '27820001001' && mo.destination_addr === '40404', 'the MO has other addresses');

const alive = await ask(session, 'enquire_link', {});
check(alive.command_status === 0, 'enquire_link was refused');
const gone = await ask(session, 'unbind', {});
check(gone.command_status === 0, 'unbind was refused');
session.close();
clearTimeout(deadline);
