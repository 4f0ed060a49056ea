#!/usr/bin/env python3
"""An application's queue to a channel and back, beside what plain pika does with the same broker in the same run.

Starts a RabbitMQ of its own on free ports of loopback. In turn, for some rounds: pika publishes and consumes as many
messages of the same size, persistent; Maybug takes messages out of `bench.outbound` and sends them on a `loopback` channel;
Maybug publishes the MOs and events that it owes. Needs pika, as tests/run installs it into target/peers/venv.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import pika

from end_to_end import TEXT, free_port, serve, usage

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
PREFETCH = 256
KINDS = ("inbound", "event", "outbound")


class Broker:
    """A RabbitMQ that nobody else uses."""

    def __init__(self, directory):
        self.port, epmd, dist = free_port(), free_port(), free_port()
        with open(directory + "/rabbitmq.conf", "w") as file:
            file.write("listeners.tcp.1 = 127.0.0.1:%d\ndisk_free_limit.absolute = 1MB\n" % self.port)
        with open(directory + "/plugins", "w") as file:
            file.write("[].")
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.epmd = subprocess.Popen(["epmd", "-port", str(epmd)],
                                     env=dict(os.environ, ERL_EPMD_ADDRESS="127.0.0.1"), **quiet)
        environment = dict(
            os.environ, HOME=directory, RABBITMQ_ALLOW_INPUT="1", RABBITMQ_SERVER_START_ARGS="-noinput",
            RABBITMQ_NODENAME="bench-%d@localhost" % self.port, RABBITMQ_DIST_PORT=str(dist),
            ERL_EPMD_PORT=str(epmd), ERL_EPMD_ADDRESS="127.0.0.1", RABBITMQ_MNESIA_BASE=directory + "/mnesia",
            RABBITMQ_LOG_BASE=directory + "/log", RABBITMQ_ENABLED_PLUGINS_FILE=directory + "/plugins",
            RABBITMQ_CONFIG_FILE=directory + "/rabbitmq")
        self.node = subprocess.Popen([SERVER], env=environment, cwd=directory, **quiet)
        for _ in range(600):
            try:
                self.channel = self.connect()
                return
            except (pika.exceptions.AMQPError, OSError):
                time.sleep(0.1)
        sys.exit("RabbitMQ does not start")

    def connect(self):
        return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.port, heartbeat=0)).channel()

    def declare(self, queue):
        self.channel.exchange_declare("vumi", "direct", durable=True)
        self.channel.queue_declare(queue, durable=True)
        self.channel.queue_bind(queue, "vumi", queue)

    def length(self, queue):
        return self.channel.queue_declare(queue, durable=True, passive=True).method.message_count

    def until(self, queue, count):
        while self.length(queue) != count:
            time.sleep(0.005)

    def stop(self):
        for process in (self.node, self.epmd):
            process.terminate()
            process.wait()


def message(number):
    return json.dumps({
        "message_type": "user_message", "message_version": "20110921", "message_id": "bench-%d" % number,
        "timestamp": "2024-03-01 09:30:00.123456", "transport_name": "bench", "transport_type": "sms",
        "to_addr": "+27820001001", "from_addr": "40404", "content": TEXT, "in_reply_to": None, "session_event": None,
        "transport_metadata": {}, "helper_metadata": {},
    })


def publish(broker, queue, count):
    """What pika can publish; returns messages per second until all are in the queue."""
    persistent = pika.BasicProperties(delivery_mode=2)
    begun = time.monotonic()
    for number in range(count):
        broker.channel.basic_publish("vumi", queue, message(number), persistent)
    broker.until(queue, count)
    return count / (time.monotonic() - begun)


def consume(broker, queue, count):
    """What pika can consume, acknowledged together as Maybug does."""
    channel = broker.connect()
    channel.basic_qos(prefetch_count=PREFETCH)
    begun = time.monotonic()
    for taken, (method, _, body) in enumerate(channel.consume(queue), 1):
        json.loads(body)
        if taken % (PREFETCH // 2) == 0 or taken == count:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if taken == count:
            break
    rate = count / (time.monotonic() - begun)
    channel.connection.close()
    return rate


def ask(port, path, body=None):
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:%d%s" % (port, path), data=data)) as answer:
        return json.load(answer)["result"]


def pika_alone(broker, count):
    broker.declare("floor")
    row = {"pika out/s": publish(broker, "floor", count), "pika in/s": consume(broker, "floor", count)}
    broker.channel.queue_delete("floor")
    return row


def maybug(binary, broker, count, directory):
    broker.declare("bench.outbound")
    publish(broker, "bench.outbound", count)
    port = free_port()
    process = serve(binary, port, directory, amqp=broker.port)
    try:
        before, _ = usage([process])
        channel = {"type": "loopback", "config": {"echo": True}, "amqp_queue": "bench"}
        begun = time.monotonic()
        path = "/channels/%s/queue" % ask(port, "/channels/", channel)["id"]
        # Nobody has bound the others yet: what Maybug makes of the messages waits.
        while (length := ask(port, path))["inbound"] + length["events"] < 3 * count:
            time.sleep(0.01)
        taken_in = time.monotonic() - begun
        taken, _ = usage([process])
    finally:
        process.terminate()
        process.wait()
    for queue in ("bench.inbound", "bench.event"):
        broker.declare(queue)
    process = serve(binary, port, directory, amqp=broker.port)
    try:
        while not broker.length("bench.inbound") + broker.length("bench.event"):
            time.sleep(0.001)
        (again, _), begun = usage([process]), time.monotonic()
        broker.until("bench.inbound", count)
        broker.until("bench.event", 2 * count)
        published_in = time.monotonic() - begun
        after, memory = usage([process])
    finally:
        process.terminate()
        process.wait()
        for kind in KINDS:
            broker.channel.queue_delete("bench." + kind)
    return {
        "taken/s": count / taken_in, "published/s": 3 * count / published_in,
        "CPU us/taken": (taken - before) / count * 1e6, "CPU us/published": (after - again) / count / 3 * 1e6,
        "peak MiB": memory,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/maybug")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=20000)
    args = parser.parse_args()
    for tool in (args.binary, SERVER):
        if not shutil.which(tool):
            sys.exit("%s is missing: cargo build --release; apt-get install rabbitmq-server" % tool)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        broker = Broker(place)
        try:
            for number in range(args.rounds):
                with tempfile.TemporaryDirectory() as directory:
                    row = pika_alone(broker, args.messages)
                    row.update(maybug(args.binary, broker, args.messages, directory))
                rows.append(row)
                print("round %d  %s" % (number + 1, "  ".join("%s %.1f" % item for item in row.items())), flush=True)
        finally:
            broker.stop()
    median = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    print("\nmedian of %d" % args.rounds)
    for key, value in median.items():
        print("%-18s%10.1f" % (key, value))
    ratio = lambda ours, theirs: statistics.median(row[ours] / row[theirs] for row in rows)
    print("\ntaken and sent / consumed by pika:  %.2f" % ratio("taken/s", "pika in/s"))
    print("published / published by pika:      %.2f" % ratio("published/s", "pika out/s"))


if __name__ == "__main__":
    main()
