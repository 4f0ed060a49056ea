"""An application that knows nothing but Vumi's queues: prints what it gets as JSON lines, sends and answers.

application.py URL QUEUE [--send COUNT | --stream RATE] [--answer TEXT] [--no-events] [--type TYPE]

--send COUNT   sends that many messages to +27820001001, with ids of its own, each until the broker has confirmed it
--stream RATE  sends for ever, about so many a second, says of each when it is confirmed, and reads nothing
--answer TEXT  answers every message that it gets, but for this text itself
--no-events    declares no queue for events
--type TYPE    declares queues of this type, and waits for somebody else to declare the one that it sends into
"""

import argparse
import itertools
import json
import time
import uuid

import pika
import pika.exceptions

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("queue")
parser.add_argument("--send", type=int, default=0)
parser.add_argument("--stream", type=float)
parser.add_argument("--answer")
parser.add_argument("--no-events", action="store_true")
parser.add_argument("--type")
args = parser.parse_args()

LOST = (pika.exceptions.AMQPError, OSError)


def say(**what):
    print(json.dumps(what), flush=True)


def user_message(**fields):
    """As vumi.message.TransportUserMessage writes it."""
    message = {
        "message_type": "user_message",
        "message_version": "20110921",
        "message_id": uuid.uuid4().hex,
        "timestamp": time.strftime("%Y-%m-%d %H:%M:%S.000000", time.gmtime()),
        "transport_name": args.queue,
        "transport_type": "sms",
        "to_addr": "+27820001001",
        "to_addr_type": None,
        "from_addr": "40404",
        "from_addr_type": None,
        "in_reply_to": None,
        "content": None,
        "session_event": None,
        "group": None,
        "provider": None,
        "helper_metadata": {},
        "transport_metadata": {},
        "routing_metadata": {},
    }
    message.update(fields)
    return message


def answer(message, content):
    """As TransportUserMessage.reply() does."""
    copied = ["transport_name", "transport_type", "transport_metadata", "helper_metadata", "group", "provider"]
    return user_message(
        to_addr=message["from_addr"],
        from_addr=message["to_addr"],
        in_reply_to=message["message_id"],
        content=content,
        **{key: message[key] for key in copied},
    )


def publish(channel, message):
    channel.basic_publish(
        "vumi",
        args.queue + ".outbound",
        json.dumps(message),
        pika.BasicProperties(delivery_mode=2),
        mandatory=True,
    )


def properties(of):
    return {name: value for name, value in vars(of).items() if value is not None}


def publish_some(channel, message):
    """Until there is a queue for it."""
    while True:
        try:
            return publish(channel, message)
        except pika.exceptions.UnroutableError:
            time.sleep(0.2)


def stream(channel):
    """The one that was not confirmed when a connection was lost comes again, with its id."""
    while True:
        begun = time.monotonic()
        publish_some(channel, current[0])
        say(confirmed=current[0]["message_id"])
        current[0] = next(numbered)
        time.sleep(max(0, begun + 1 / args.stream - time.monotonic()))


def work(to_send):
    channel = pika.BlockingConnection(pika.URLParameters(args.url)).channel()
    channel.exchange_declare("vumi", "direct", durable=True)
    ours = ["inbound"] + ([] if args.no_events else ["event"])
    for kind in ours if args.type else ours + ["outbound"]:
        name = args.queue + "." + kind
        channel.queue_declare(name, durable=True, arguments={"x-queue-type": args.type} if args.type else None)
        channel.queue_bind(name, "vumi", name)
    channel.confirm_delivery()
    say(ready=True)
    if args.stream:
        stream(channel)
    while to_send:
        publish_some(channel, to_send[0])
        to_send.pop(0)
        if not to_send:
            say(sent=args.send)

    def inbound(channel, method, about, body):
        message = json.loads(body)
        say(inbound=message, ascii=body.isascii(), properties=properties(about))
        # Answers may come back as messages.
        if args.answer is not None and message["content"] != args.answer:
            publish(channel, answer(message, args.answer))
        channel.basic_ack(method.delivery_tag)

    def event(channel, method, about, body):
        say(event=json.loads(body), ascii=body.isascii(), properties=properties(about))
        channel.basic_ack(method.delivery_tag)

    channel.basic_qos(prefetch_count=100)
    channel.basic_consume(args.queue + ".inbound", inbound)
    if not args.no_events:
        channel.basic_consume(args.queue + ".event", event)
    channel.start_consuming()


waiting = [
    user_message(message_id="%s-%d" % (args.queue, number), content="token %d" % number) for number in range(args.send)
]
numbered = (user_message(message_id="q%d" % number, content="q%d" % number) for number in itertools.count())
current = [next(numbered)]
while True:
    try:
        work(waiting)
    except LOST:
        time.sleep(0.2)
