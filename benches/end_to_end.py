#!/usr/bin/env python3
"""HTTP request to submit_sm at an SMSC: Maybug durable, Maybug without fsync, and Kannel without a store, in turn.

Everything runs on loopback and on free ports: `maybug sim` is the SMSC, wrk the load. Each contender runs alone, the
contenders take turns for some rounds, and the medians of the rounds are compared. Standard library only.
"""
import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

TEXT = "The quick brown fox jumps over the lazy dog. " * 3


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process):
    for _ in range(500):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            sys.exit("%s ended with %s" % (process.args[0], process.returncode))
        time.sleep(0.02)
    sys.exit("%s does not listen on %d" % (process.args[0], port))


class Smsc:
    """`maybug sim`, and what it has counted."""

    def __init__(self, binary, port=None, *flags):
        self.port = port or free_port()
        self.process = subprocess.Popen(
            [binary, "sim", "--listen", "127.0.0.1:%d" % self.port, "--quiet", "--json", *flags],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.process.stdout.readline()

    def told(self):
        """The counts at the next full second."""
        return json.loads(self.process.stdout.readline())

    def taken(self):
        """How many messages it has taken then."""
        return self.told()["accepted"]

    def settled(self):
        """The count once it has stopped growing."""
        before = -1
        while (now := self.taken()) != before:
            before = now
        return now

    def stop(self):
        self.process.terminate()
        self.process.wait()


def usage(processes):
    """CPU seconds and peak resident memory in MiB of some processes and of what they have started."""
    cpu, memory = 0.0, 0.0
    pids = [process.pid for process in processes]
    for pid in pids:
        try:
            with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
                pids.extend(map(int, file.read().split()))
            with open("/proc/%d/stat" % pid) as file:
                fields = file.read().rsplit(")", 1)[1].split()
            with open("/proc/%d/status" % pid) as file:
                memory += int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1)) / 1024
        except FileNotFoundError:
            # RabbitMQ starts programs that end at once.
            continue
        cpu += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return cpu, memory


def load(url, seconds, script, connections=32):
    """wrk's requests, p50 and p99 in milliseconds."""
    command = ["wrk", "-t1", "-c%d" % connections, "-d%d" % seconds, "--latency", "-s", script, url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output:
        sys.exit("some requests were refused:\n" + output)

    def milliseconds(share):
        number, unit = re.search(r"%s%%\s+([\d.]+)(us|ms|s)" % share, output).groups()
        return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]

    requests = int(re.search(r"(\d+) requests in", output).group(1))
    return requests, milliseconds(50), milliseconds(99)


def measure(smsc, processes, seconds, generate):
    """What becomes of the messages that `generate` gives to the processes; it tells how many, p50 and p99."""
    before, (cpu, _) = smsc.settled(), usage(processes)
    begun = time.monotonic()
    requests, p50, p99 = generate()
    accepted_in = time.monotonic() - begun
    while smsc.taken() - before < requests:
        if time.monotonic() - begun > 10 * seconds + 60:
            break
    drained_in = time.monotonic() - begun
    taken = smsc.settled() - before
    after, memory = usage(processes)
    return {
        "accepted/s": requests / accepted_in,
        # The counter is read once a second, so the drain is known to a second.
        "submitted/s": taken / max(accepted_in, drained_in - 1),
        "p50 ms": p50,
        "p99 ms": p99,
        "CPU us/msg": (after - cpu) / max(taken, 1) * 1e6,
        "peak MiB": memory,
        # wrk leaves up to 32 requests unread at its end, which were taken all the same.
        "lost": max(0, requests - taken),
    }


def serve(binary, port, directory, sync=True, wait=True, redis=None, amqp=None):
    """A running server; `redis` is a URL, `amqp` a port of this machine."""
    environment = dict(os.environ, MAYBUG_SYNC=str(sync).lower(), MAYBUG_LOG_LEVEL="error")
    command = [binary, "serve", "-i", "127.0.0.1", "-p", str(port), "--data", directory + "/data",
               "--logging-path", directory + "/logs"]
    command += ["--redis", redis] if redis else []
    command += ["--amqp-host", "127.0.0.1", "--amqp-port", str(amqp)] if amqp else []
    process = subprocess.Popen(command, env=environment)
    if wait:
        wait_for_port(port, process)
    return process


def create_channel(port, smsc_port, reconnect=5, **properties):
    """A channel bound to an SMSC on this machine, with further properties if any are given."""
    config = {"twisted_endpoint": "tcp:127.0.0.1:%d" % smsc_port, "system_id": "b", "password": "b",
              "window_size": 500, "initial_reconnect_delay": reconnect, "max_reconnect_delay": reconnect}
    body = json.dumps({"type": "smpp", "mo_url": None, "config": config, **properties}).encode()
    request = urllib.request.Request("http://127.0.0.1:%d/channels/" % port, data=body)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["result"]["id"]


def write_post_script(directory, **keys):
    """What wrk is to send, with further keys if any are given."""
    message = json.dumps({"to": "+27820001001", "from": "40404", "content": TEXT, **keys})
    with open(directory + "/post.lua", "w") as file:
        file.write('wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
                   "wrk.body = [[%s]]\n" % message)
    return directory + "/post.lua"


def maybug(binary, smsc, seconds, directory, sync, redis=None):
    port = free_port()
    process = serve(binary, port, directory, sync, redis=redis)
    try:
        url = "http://127.0.0.1:%d/channels/%s/messages/" % (port, create_channel(port, smsc.port))
        script = write_post_script(directory)
        return measure(smsc, [process], seconds, lambda: load(url, seconds, script))
    finally:
        process.terminate()
        process.wait()


def kannel(smsc, seconds, directory):
    admin, boxes, sendsms = free_port(), free_port(), free_port()
    with open(directory + "/kannel.conf", "w") as file:
        file.write("""group = core
admin-port = %d
admin-password = x
admin-interface = 127.0.0.1
smsbox-port = %d
smsbox-interface = 127.0.0.1
box-allow-ip = 127.0.0.1
log-level = 4

group = smsc
smsc = smpp
smsc-id = sim
host = 127.0.0.1
port = %d
smsc-username = b
smsc-password = b
system-type = VMA
transceiver-mode = true
max-pending-submits = 500

group = smsbox
bearerbox-host = 127.0.0.1
bearerbox-port = %d
sendsms-port = %d
sendsms-interface = 127.0.0.1
log-level = 4

group = sendsms-user
username = u
password = p
""" % (admin, boxes, smsc.port, boxes, sendsms))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": directory}
    bearerbox = subprocess.Popen(["/usr/sbin/bearerbox", "-v", "4", directory + "/kannel.conf"], **quiet)
    smsbox = None
    try:
        wait_for_port(boxes, bearerbox)
        smsbox = subprocess.Popen(["/usr/sbin/smsbox", "-v", "4", directory + "/kannel.conf"], **quiet)
        wait_for_port(sendsms, smsbox)
        script = directory + "/get.lua"
        with open(script, "w") as file:
            file.write('wrk.method = "GET"\n')
        url = "http://127.0.0.1:%d/cgi-bin/sendsms?username=u&password=p&to=27820001001&from=40404&text=%s" % (
            sendsms, TEXT.replace(" ", "+"))
        return measure(smsc, [bearerbox, smsbox], seconds, lambda: load(url, seconds, script))
    finally:
        for process in (smsbox, bearerbox):
            if process:
                process.terminate()
                process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/maybug")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    args = parser.parse_args()
    for tool in ("wrk", args.binary, "/usr/sbin/bearerbox"):
        if not shutil.which(tool):
            sys.exit("%s is missing: cargo build --release; apt-get install wrk kannel" % tool)
    contenders = {
        "maybug, durable": lambda smsc, where: maybug(args.binary, smsc, args.seconds, where, True),
        "kannel, no store": lambda smsc, where: kannel(smsc, args.seconds, where),
        "maybug, no fsync": lambda smsc, where: maybug(args.binary, smsc, args.seconds, where, False),
    }
    rows = {name: [] for name in contenders}
    for number in range(args.rounds):
        for name, run in contenders.items():
            with tempfile.TemporaryDirectory() as directory:
                smsc = Smsc(args.binary)
                try:
                    row = run(smsc, directory)
                finally:
                    smsc.stop()
            rows[name].append(row)
            print("round %d  %-17s %s" % (number + 1, name, "  ".join("%s %.1f" % item for item in row.items())),
                  flush=True)
    median = {name: {key: statistics.median(row[key] for row in taken) for key in taken[0]}
              for name, taken in rows.items()}
    print("\n%-18s" % "median of %d" % args.rounds + "".join("%13s" % key for key in median["maybug, durable"]))
    for name, row in median.items():
        print("%-18s" % name + "".join("%13.1f" % value for value in row.values()))
    durable = median["maybug, durable"]["submitted/s"]
    print("\ndurable / kannel without a store: %.2f" % (durable / median["kannel, no store"]["submitted/s"]))
    print("durable / without fsync:          %.2f" % (durable / median["maybug, no fsync"]["submitted/s"]))


if __name__ == "__main__":
    main()
