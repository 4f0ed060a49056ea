#!/usr/bin/env python3
"""HTTP request to submit_sm with everything kept in a Redis, beside what that Redis alone writes, and beside the store in a
directory.

Everything runs on loopback and on free ports, in turn for some rounds; the medians are compared. The floor is
redis-benchmark: SETs of 350 octets, 64 at a time on each of 4 connections. Standard library only.
"""
import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile

from end_to_end import Smsc, free_port, maybug, wait_for_port


class Redis:
    """A server of its own, which writes to its disk as `policy` says."""

    def __init__(self, directory, policy):
        self.port = free_port()
        self.url = "redis://127.0.0.1:%d" % self.port
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes",
             "--appendfsync", policy, "--dir", directory], stdout=subprocess.DEVNULL)
        wait_for_port(self.port, self.process)

    def floor(self):
        """SETs per second."""
        said = subprocess.run(
            ["redis-benchmark", "-p", str(self.port), "-t", "set", "-d", "350", "-P", "64", "-c", "4", "-n", "300000",
             "-r", "1000000", "--csv"], check=True, capture_output=True, text=True).stdout
        return float(said.splitlines()[1].split(",")[1].strip('"'))

    def stop(self):
        self.process.kill()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/release/maybug")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    args = parser.parse_args()
    for tool in ("wrk", "redis-server", "redis-benchmark", args.binary):
        if not shutil.which(tool):
            sys.exit("%s is missing: cargo build --release; apt-get install wrk redis-server" % tool)
    rows, floors = {}, {}
    for number in range(args.rounds):
        for policy in ("directory", "always", "everysec"):
            with tempfile.TemporaryDirectory() as directory:
                if policy != "directory":
                    redis = Redis(directory, policy)
                    floors.setdefault(policy, []).append(redis.floor())
                    redis.stop()
            with tempfile.TemporaryDirectory() as directory:
                redis = Redis(directory, policy) if policy != "directory" else None
                smsc = Smsc(args.binary)
                try:
                    row = maybug(args.binary, smsc, args.seconds, directory, True, redis and redis.url)
                finally:
                    smsc.stop()
                    if redis:
                        redis.stop()
            rows.setdefault(policy, []).append(row)
            print("round %d  %-10s %s" % (number + 1, policy, "  ".join("%s %.1f" % item for item in row.items())),
                  flush=True)
    median = {name: {key: statistics.median(row[key] for row in taken) for key in taken[0]}
              for name, taken in rows.items()}
    print("\n%-14s" % "median" + "".join("%13s" % key for key in median["directory"]))
    for name, row in median.items():
        print("%-14s" % name + "".join("%13.1f" % value for value in row.values()))
    for policy, sets in floors.items():
        sets, sent = statistics.median(sets), median[policy]["submitted/s"]
        print("\n%s: %.0f SETs/s by Redis alone, %.1f of them a message; %.2f of the store in a directory" % (
            policy, sets, sets / sent, sent / median["directory"]["submitted/s"]))


if __name__ == "__main__":
    main()
