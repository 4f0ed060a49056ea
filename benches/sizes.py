#!/usr/bin/env python3
"""What a server takes of its machine: memory, files and time by channels; disk and Redis memory by messages.

With the store in a directory, then in a Redis, by turns for each number of channels: channels that are bound to an SMSC on
this machine and idle, then the same after a restart; and what is left of messages of 135 octets, with and without a
receipt and a callback for each of the two events. Standard library only, and redis.py beside it.
"""
import argparse
import http.server
import json
import os
import re
import shutil
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

from blocked import ready
from end_to_end import Smsc, create_channel, free_port, load, serve, usage, write_post_script
from redis import Redis


class Receiver(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Takes callbacks."""

    daemon_threads = True
    request_queue_size = 64

    class Taken(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # One write for the whole answer.
        wbufsize = -1

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            self.server.taken += 1

        def log_message(self, *_):
            pass

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Taken)
        self.taken = 0
        self.url = "http://127.0.0.1:%d/" % self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()


def of(process):
    """Resident MiB, open files, threads."""
    with open("/proc/%d/status" % process.pid) as file:
        status = dict(line.split(":", 1) for line in file)
    files = len(os.listdir("/proc/%d/fd" % process.pid))
    return int(status["VmRSS"].split()[0]) / 1024, files, int(status["Threads"])


def disk(directory):
    """Octets that the store occupies."""
    return int(subprocess.run(["du", "-s", "-B1", directory + "/data"], check=True, capture_output=True,
                              text=True).stdout.split()[0]) if os.path.isdir(directory + "/data") else 0


def told(redis, name):
    """A number of what Redis says of itself."""
    ask = ["redis-cli", "-p", str(redis.port), "info"]
    said = subprocess.run(ask, check=True, capture_output=True, text=True).stdout
    return int(dict(line.split(":", 1) for line in said.splitlines() if ":" in line)[name])


def talked(smsc):
    """Octets to and from an SMSC on its connections that are open."""
    said = subprocess.run(["ss", "-Htin", "dport = :%d" % smsc.port], check=True, capture_output=True, text=True).stdout
    return sum(map(int, re.findall(r"bytes_(?:acked|received):(\d+)", said)))


def appended(directory):
    """Octets of Redis's append-only file."""
    return sum(os.path.getsize(os.path.join(place, name)) for place, _, names in os.walk(directory + "/appendonlydir")
               for name in names)


def started(binary, port, smsc, directory, redis, count):
    """The server, seconds until it is ready and, to a second, until all channels are bound."""
    binds, begun = smsc.told()["binds"] + count, time.monotonic()
    process = serve(binary, port, directory, wait=False, redis=redis and redis.url)
    while not ready(port):
        if process.poll() is not None:
            sys.exit("the server ended with %s" % process.returncode)
        time.sleep(0.002)
    was_ready = time.monotonic() - begun
    while smsc.told()["binds"] < binds:
        pass
    return process, was_ready, time.monotonic() - begun


def ended(process):
    """Seconds until it has gone."""
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait()
    return time.monotonic() - begun


def channels(binary, count, directory, redis):
    smsc, port = Smsc(binary, None, "--max-connections", str(count + 1)), free_port()
    process = None
    try:
        process, _, _ = started(binary, port, smsc, directory, redis, 0)
        begun = time.monotonic()
        for _ in range(count):
            create_channel(port, smsc.port)
        row = {"made s": time.monotonic() - begun}
        while smsc.told()["binds"] < count:
            pass
        row["stopped s"] = ended(process)
        process, row["ready s"], row["bound s"] = started(binary, port, smsc, directory, redis, count)
        # What was needed for starting is given back by then.
        time.sleep(5)
        row["MiB"], row["files"], row["threads"] = of(process)
        row["disk MiB"] = disk(directory) / 2**20
        row["Redis MiB"] = told(redis, "used_memory") / 2**20 if redis else 0
        row["Redis clients"] = of(redis.process)[1] if redis else 0
        return row
    finally:
        smsc.stop()
        if process:
            process.kill()
            process.wait()


def messages(binary, count, directory, redis, receiver):
    """What one message costs, once everything is done that is to be done for it."""
    smsc, port = Smsc(binary), free_port()
    process, _, _ = started(binary, port, smsc, directory, redis, 0)

    def spent():
        row = {"messages": smsc.settled(), "CPU us": usage([process])[0] * 1e6, "SMPP": talked(smsc)}
        if redis:
            row.update({"Redis CPU us": usage([redis.process])[0] * 1e6, "Redis memory": told(redis, "used_memory"),
                        "Redis disk": appended(directory), "to Redis": told(redis, "total_net_input_bytes"),
                        "from Redis": told(redis, "total_net_output_bytes")})
        else:
            row["disk"] = disk(directory)
        return row

    try:
        channel = create_channel(port, smsc.port)
        script = write_post_script(directory, event_url=receiver.url) if receiver else write_post_script(directory)
        url, sent, before = "http://127.0.0.1:%d/channels/%s/messages/" % (port, channel), 0, None
        called = receiver and receiver.taken
        while before is None or sent < before["messages"] + count:
            sent += load(url, 2, script)[0]
            while smsc.told()["accepted"] < sent or (receiver and receiver.taken - called < 2 * sent):
                pass
            # The first ones pay for what is there once: journals, tables, the learnt.
            before = before or spent()
        after = spent()
        many = after.pop("messages") - before.pop("messages")
        row = {"messages": many, **{name: (after[name] - before[name]) / many for name in after}, "MiB": of(process)[0]}
        row["stopped s"] = ended(process)
        if not redis:
            row["disk, stopped"] = (disk(directory) - before["disk"]) / many
        return row
    finally:
        smsc.stop()
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/maybug")
    parser.add_argument("--channels", type=int, nargs="*", default=[0, 100, 1000])
    parser.add_argument("--messages", type=int, default=200_000)
    args = parser.parse_args()
    for tool in ("wrk", "ss", "redis-server", "redis-cli", args.binary):
        if not shutil.which(tool):
            sys.exit("%s is missing: cargo build --release; apt-get install wrk iproute2 redis-server" % tool)

    def each(what, run):
        for store in ("directory", "Redis"):
            with tempfile.TemporaryDirectory() as directory:
                redis = Redis(directory, "always") if store == "Redis" else None
                try:
                    row = run(directory, redis)
                finally:
                    if redis:
                        redis.stop()
            print("%-26s %-10s %s" % (what, store, "  ".join("%s %.2f" % item for item in row.items())), flush=True)

    for count in args.channels:
        each("%d channels" % count, lambda directory, redis: channels(args.binary, count, directory, redis))
    for receiver in (None, Receiver()):
        what = "receipts and callbacks" if receiver else "without receipts"
        each(what, lambda directory, redis: messages(args.binary, args.messages, directory, redis, receiver))


if __name__ == "__main__":
    main()
