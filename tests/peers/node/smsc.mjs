// An SMSC on the npm `smpp` library. Prints {"listening": PORT}, then one JSON object for each thing that happens.
// The first submit_sm of each bind is throttled. Ids are hexadecimal in responses and decimal in receipts. After the
// first message that it takes it sends one from a phone.
import smpp from 'smpp';

let next = 0xabc0;
const say = (object) => console.log(JSON.stringify(object));

const server = smpp.createServer((session) => {
  let submits = 0;
  session.on('error', (error) => say({ error: error.message }));
  for (const bind of ['bind_transceiver', 'bind_transmitter', 'bind_receiver']) {
    session.on(bind, (pdu) => {
      say({ bind, system_id: pdu.system_id, password: pdu.password, interface_version: pdu.interface_version });
      session.send(pdu.response({ system_id: 'node' }));
    });
  }
  session.on('submit_sm', (pdu) => {
    submits += 1;
    if (submits === 1) {
      say({ throttled: true });
      session.send(pdu.response({ command_status: smpp.ESME_RTHROTTLED }));
      return;
    }
    const id = next++;
    session.send(pdu.response({ message_id: id.toString(16) }));
    say({
      submit: pdu.short_message.message, from: pdu.source_addr, to: pdu.destination_addr,
      data_coding: pdu.data_coding, registered_delivery: pdu.registered_delivery,
    });
    if (pdu.registered_delivery & 1) {
      const decimal = id.toString().padStart(10, '0');
      session.deliver_sm({
        source_addr: pdu.destination_addr, destination_addr: pdu.source_addr, esm_class: 4,
        short_message: `id:${decimal} sub:001 dlvrd:001 submit date:2611210000 done date:2611210000 stat:DELIVRD err:000 text:`,
      }, (answer) => say({ receipt_answer: answer.command_status }));
    }
    if (submits === 2) {
      session.deliver_sm({ source_addr: '27820001001', destination_addr: '40404', short_message: 'from a phone: žluť' },
        (answer) => say({ mo_answer: answer.command_status }));
    }
  });
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    say({ unbind: true });
    session.send(pdu.response());
    session.close();
  });
});
server.listen(0, '127.0.0.1', () => say({ listening: server.address().port }));
