#!/usr/bin/env python3
"""A blocked SMSC: a million messages queue up, the server is killed, started again, and the SMSC comes back.

Prints the memory while they queue, the time until it is ready again, and how fast they leave. Standard library only.
"""
import argparse
import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from end_to_end import Smsc, create_channel, free_port, load, serve, usage, write_post_script


def ready(port):
    try:
        with urllib.request.urlopen("http://127.0.0.1:%d/health/ready" % port) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/maybug")
    parser.add_argument("--messages", type=int, default=1_000_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        port, smsc_port = free_port(), free_port()
        server = serve(args.binary, port, directory, sync=True)
        channel = create_channel(port, smsc_port, reconnect=1)
        script = write_post_script(directory)
        url = "http://127.0.0.1:%d/channels/%s/messages/" % (port, channel)
        queued = 0
        while queued < args.messages:
            queued += load(url, 8, script, connections=64)[0]
            _, memory = usage([server])
            print("%9d queued, peak %.0f MiB" % (queued, memory), flush=True)
        server.send_signal(signal.SIGKILL)
        server.wait()
        begun = time.monotonic()
        server = serve(args.binary, port, directory, sync=True, wait=False)
        while not ready(port):
            time.sleep(0.005)
        print("killed, and ready again after %.2f s" % (time.monotonic() - begun), flush=True)
        smsc = Smsc(args.binary, smsc_port)
        try:
            taken, (before, _) = 0, usage([server])
            while not taken:
                taken = smsc.taken()
            first, begun = taken, time.monotonic()
            while taken < queued:
                taken = smsc.taken()
            seconds = time.monotonic() - begun
            cpu, memory = usage([server])
            print("drained %d in %.0f s: %.0f messages/s, %.1f CPU us each, peak %.0f MiB" % (
                taken - first, seconds, (taken - first) / seconds, (cpu - before) / taken * 1e6, memory))
        finally:
            smsc.stop()
            server.terminate()
            server.wait()


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    main()
