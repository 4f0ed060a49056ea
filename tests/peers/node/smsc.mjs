// npm `smpp` as an SMSC, driven by JSON lines: each event is a line on standard output, each line on standard input a
// command. The first output line is {"event":"listening","port":N}. Ends when standard input does.
//
// argv: --port N (0 takes a free one), --password P (others are refused), --no-receipts
// commands: {"do":"mo","from":F,"to":T,"text":X} · {"do":"throttle","count":N}: the next N submits get ESME_RTHROTTLED ·
// {"do":"refuse","status":S,"count":N} · {"do":"state","word":"UNDELIV","value":5} · {"do":"cut"} · {"do":"enquire"}
// events: bind, submit (system_id, from, to, text, data_coding, esm_class, id, status), answered (what, status),
// unbind, closed, error
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import smpp from 'smpp';

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    password: { type: 'string' },
    'no-receipts': { type: 'boolean', default: false },
  },
});
const tell = (event, more = {}) => console.log(JSON.stringify({ event, ...more }));
const sessions = new Map();
const refusals = [];
let state = { word: 'DELIVRD', value: 2 };
let next = 0x38601f0;

function receiptFor(session, pdu, id) {
  session.deliver_sm(
    {
      source_addr: pdu.destination_addr,
      destination_addr: pdu.source_addr,
      esm_class: 4,
      short_message: `id:${id} sub:001 dlvrd:001 submit date:2609011130 done date:2609011131 stat:${state.word} err:000 text:`,
      receipted_message_id: id,
      message_state: state.value,
    },
    (answer) => tell('answered', { what: 'receipt', id, status: answer.command_status }),
  );
}

const server = smpp.createServer((session) => {
  session.on('error', (error) => tell('error', { message: error.message }));
  session.on('close', () => {
    if (sessions.delete(session)) tell('closed');
  });
  session.on('unbind', (pdu) => {
    session.send(pdu.response());
    tell('unbind');
    session.close();
  });
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  for (const mode of ['transceiver', 'transmitter', 'receiver']) {
    session.on(`bind_${mode}`, (pdu) => {
      const wrong = options.password !== undefined && pdu.password !== options.password;
      const status = wrong ? smpp.ESME_RINVPASWD : 0;
      session.send(pdu.response({ command_status: status, system_id: 'npm-smpp' }));
      if (!wrong) sessions.set(session, { system_id: pdu.system_id, mode });
      tell('bind', { system_id: pdu.system_id, mode, status });
    });
  }
  session.on('submit_sm', (pdu) => {
    const refusal = refusals.shift();
    const id = refusal === undefined ? (next++).toString(16) : '';
    session.send(pdu.response({ command_status: refusal ?? 0, message_id: id }));
    const content = pdu.short_message;
    const message = Buffer.isBuffer(content.message) ? content.message.toString('hex') : content.message;
    tell('submit', {
      system_id: sessions.get(session)?.system_id,
      from: pdu.source_addr,
      to: pdu.destination_addr,
      text: message,
      udh: content.udh ? content.udh.map((element) => element.toString('hex')) : null,
      data_coding: pdu.data_coding,
      esm_class: pdu.esm_class,
      id,
      status: refusal ?? 0,
    });
    if (refusal === undefined && pdu.registered_delivery & 1 && !options['no-receipts']) receiptFor(session, pdu, id);
  });
});
server.listen(Number(options.port), '127.0.0.1', () => tell('listening', { port: server.address().port }));

const commands = {
  mo({ from, to, text }) {
    const receiver = [...sessions].find(([, bound]) => bound.mode !== 'transmitter')?.[0];
    if (!receiver) return tell('error', { message: 'nobody is bound to take the MO' });
    receiver.deliver_sm({ source_addr: from, destination_addr: to, short_message: text }, (answer) =>
      tell('answered', { what: 'mo', status: answer.command_status }),
    );
  },
  throttle: ({ count = 1 }) => refusals.push(...Array(count).fill(smpp.ESME_RTHROTTLED)),
  refuse: ({ status, count = 1 }) => refusals.push(...Array(count).fill(status)),
  state: ({ word, value }) => (state = { word, value }),
  cut: () => sessions.forEach((_, session) => session.destroy()),
  enquire() {
    for (const session of sessions.keys()) {
      session.enquire_link((answer) => tell('answered', { what: 'enquire_link', status: answer.command_status }));
    }
  },
};
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const command = JSON.parse(line);
    if (!commands[command.do]) return tell('error', { message: `unknown command ${command.do}` });
    commands[command.do](command);
  })
  .on('close', () => process.exit(0));
