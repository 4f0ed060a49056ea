#!/usr/bin/env python3
"""Redis and RabbitMQ together: what the server does with both, beside what each of them does alone in the same run.

Everything runs on loopback and on free ports, in turn for some rounds; the medians are compared. Redis writes with
`appendfsync always`. An application publishes persistent messages with confirms for some seconds, the server on that Redis
sends them to an SMSC, which returns a receipt for each, and the application reads the two events that come of each; then
the same with messages that come over HTTP, and over HTTP without events. The floors are redis-benchmark's SETs, and pika
publishing and consuming as the application does. Needs pika, as tests/run installs it into target/peers/venv.
"""
import argparse
import itertools
import multiprocessing
import shutil
import statistics
import sys
import tempfile
import time

import pika

from amqp import KINDS, PREFETCH, SERVER, Broker, consume, message
from end_to_end import Smsc, create_channel, free_port, load, measure, serve, usage, write_post_script
from redis import Redis

QUEUE = "bench"
# Messages that an application has published and that are not confirmed yet.
WINDOW = 1000


class Publisher:
    """An application that publishes for some seconds, and how long each confirm took."""

    def __init__(self, port, queue, seconds):
        self.queue, self.until, self.published = queue, time.monotonic() + seconds, 0
        self.waiting, self.took = {}, []
        parameters = pika.ConnectionParameters("127.0.0.1", port, heartbeat=0)
        self.connection = pika.SelectConnection(parameters, on_open_callback=self.opened)
        self.connection.ioloop.start()

    def opened(self, connection):
        connection.channel(on_open_callback=self.ready)

    def ready(self, channel):
        self.channel = channel
        channel.confirm_delivery(self.confirmed, callback=lambda _: self.publish())

    def publish(self):
        persistent = pika.BasicProperties(delivery_mode=2)
        while len(self.waiting) < WINDOW and (now := time.monotonic()) < self.until:
            self.published += 1
            self.waiting[self.published] = now
            self.channel.basic_publish("vumi", self.queue, message(self.published), persistent)
        if not self.waiting:
            self.connection.ioloop.stop()

    def confirmed(self, frame):
        confirm, now = frame.method, time.monotonic()
        if confirm.NAME != "Basic.Ack":
            sys.exit("RabbitMQ refuses a message")
        through = [confirm.delivery_tag]
        if confirm.multiple:
            # In the order of publishing.
            through = list(itertools.takewhile(lambda tag: tag <= confirm.delivery_tag, self.waiting))
        self.took.extend(now - self.waiting.pop(tag) for tag in through)
        self.publish()

    def told(self):
        """As wrk tells it: how many, p50 and p99 in milliseconds."""
        hundredths = statistics.quantiles(self.took, n=100)
        return self.published, hundredths[49] * 1000, hundredths[98] * 1000


def read(port, queue, count):
    """Takes what is in a queue for as long as the process lives; `count` tells others how much it has been."""
    channel = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, heartbeat=0)).channel()
    channel.basic_qos(prefetch_count=PREFETCH)
    for taken, (method, _, _) in enumerate(channel.consume(queue), 1):
        if taken % (PREFETCH // 2) == 0:
            channel.basic_ack(method.delivery_tag, multiple=True)
        count.value = taken


def waited(count, wanted):
    """When there were as many, or no more came for some seconds."""
    seen, since = -1, time.monotonic()
    while seen < wanted and time.monotonic() - since < 10:
        if count.value != seen:
            seen, since = count.value, time.monotonic()
        time.sleep(0.01)
    return since


def floors(broker, seconds):
    with tempfile.TemporaryDirectory() as directory:
        redis = Redis(directory, "always")
        row = {"Redis SETs/s": redis.floor()}
        redis.stop()
    broker.declare("floor")
    begun = time.monotonic()
    published, p50, p99 = Publisher(broker.port, "floor", seconds).told()
    row["pika confirmed/s"] = published / (time.monotonic() - begun)
    broker.until("floor", published)
    row["pika consumed/s"] = consume(broker, "floor", published)
    row.update({"p50 ms": p50, "p99 ms": p99})
    broker.channel.queue_delete("floor")
    return row


def maybug(args, broker, generator, events):
    """A row of the server on a new Redis: `generator` makes what gives it messages of the port, the channel, a directory."""
    for kind in KINDS:
        broker.declare("%s.%s" % (QUEUE, kind))
    with tempfile.TemporaryDirectory() as directory:
        redis, smsc, port, reader = Redis(directory, "always"), Smsc(args.binary), free_port(), None
        server = serve(args.binary, port, directory, redis=redis.url, amqp=broker.port)
        try:
            properties = {"amqp_queue": QUEUE} if events else {}
            channel = create_channel(port, smsc.port, **properties)
            parts = {"CPU us": [server], "Redis us": [redis.process], "RabbitMQ us": [broker.node]}
            count = multiprocessing.Value("q", 0)
            reader = multiprocessing.Process(target=read, args=(broker.port, QUEUE + ".event", count), daemon=True)
            reader.start()
            before = {name: usage(processes)[0] for name, processes in parts.items()}
            begun = []

            def generate():
                begun.append(time.monotonic())
                return generator(port, channel, directory)

            row = measure(smsc, [server], args.seconds, generate)
            del row["CPU us/msg"]
            taken = smsc.taken()
            wanted = 2 * taken if events else 0
            # Submitted, and both events read.
            row["complete/s"] = taken / (waited(count, wanted) - begun[0]) if events else row["submitted/s"]
            row.update({name: (usage(processes)[0] - before[name]) / taken * 1e6 for name, processes in parts.items()})
            row["missing"] = wanted - count.value
            return row
        finally:
            if reader:
                reader.terminate()
                reader.join()
            for process in (server, smsc.process):
                process.terminate()
                process.wait()
            redis.stop()
            for kind in KINDS:
                broker.channel.queue_delete("%s.%s" % (QUEUE, kind))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/maybug")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    args = parser.parse_args()
    for tool in ("wrk", "redis-server", "redis-benchmark", args.binary, SERVER):
        if not shutil.which(tool):
            sys.exit("%s is missing: cargo build --release; apt-get install wrk redis-server rabbitmq-server" % tool)

    def over_queue(port, channel, directory):
        return Publisher(broker.port, QUEUE + ".outbound", args.seconds).told()

    def over_http(port, channel, directory):
        url = "http://127.0.0.1:%d/channels/%s/messages/" % (port, channel)
        return load(url, args.seconds, write_post_script(directory))

    contenders = {"queue, events": (over_queue, True), "HTTP, events": (over_http, True), "HTTP alone": (over_http, False)}
    # How often one message, or an event of it, is published to RabbitMQ.
    passages = {"queue, events": 3, "HTTP, events": 2}
    rows = {name: [] for name in ("alone", *contenders)}
    with tempfile.TemporaryDirectory() as place:
        broker = Broker(place)
        try:
            for number in range(args.rounds):
                rows["alone"].append(floors(broker, args.seconds))
                for name, contender in contenders.items():
                    rows[name].append(maybug(args, broker, *contender))
                for name, taken in rows.items():
                    print("round %d  %-14s %s" % (
                        number + 1, name, "  ".join("%s %.1f" % item for item in taken[-1].items())), flush=True)
        finally:
            broker.stop()
    median = {name: {key: statistics.median(row[key] for row in taken) for key in taken[0]}
              for name, taken in rows.items()}
    print("\nmedian of %d: %s" % (args.rounds, "  ".join("%s %.1f" % item for item in median["alone"].items())))
    print("%-14s" % "" + "".join("%13s" % key for key in median["HTTP alone"]))
    for name in contenders:
        print("%-14s" % name + "".join("%13.1f" % value for value in median[name].values()))
    print()
    for name in contenders:
        ratio = lambda floor, passages: statistics.median(
            passages * row["complete/s"] / alone[floor] for row, alone in zip(rows[name], rows["alone"]))
        print("%-14s complete / Redis's SETs: %.3f" % (name, ratio("Redis SETs/s", 1)))
        if name in passages:
            times = passages[name]
            print("%-14s complete / pika's confirmed: %.2f, and RabbitMQ takes %d times as many: %.2f" % (
                name, ratio("pika confirmed/s", 1), times, ratio("pika confirmed/s", times)))


if __name__ == "__main__":
    main()
