#!/usr/bin/env python3
"""Measures disks and networks of Martlet's guests beside those of `qemu-system-x86_64 -accel tcg`.

The same Debian image runs `fio` on a raw scratch disk and `iperf3` to the host and between two machines, in turns.
Printed are medians of rates and their ratios; more is better.
"""
import argparse
import datetime
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
MACHINE = pathlib.Path(os.environ.get("MARTLET_GUESTS") or CACHE / "martlet" / "guests") / "benchmark-machine"
APPEND = "console=ttyS0 root=/dev/vda rw init=/devices-init quiet panic=-1 nokaslr {}"
MEMORY = "1G"
TIME_LIMIT = 600
SCRATCH = 1 << 30
FORMATS = ("raw", "qcow2")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Martlet:
    name = "martlet"

    def __init__(self, path):
        self.path = path

    def command(self, words, scratch=None, network=None):
        command = [self.path, "run", "--engine", "software", "--memory", MEMORY,
                   "--kernel", MACHINE / "vmlinuz", "--initrd", MACHINE / "initrd.img",
                   "--append", APPEND.format(words), "--disk", f"{MACHINE / 'disk.img'},snapshot=on"]
        if scratch:
            command += ["--disk", scratch]
        if network:
            command += ["--net", network]
        return command

    def pair(self, directory):
        """What connects two machines: two networks, and a process to end."""
        path = pathlib.Path(directory) / "switch"
        process = subprocess.Popen([self.path, "switch", path])
        while not path.exists():
            time.sleep(0.05)
        return [f"switch,path={path}"] * 2, process


class QEMU:
    name = "qemu-tcg"

    def command(self, words, scratch=None, network=None):
        command = ["qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-accel", "tcg,thread=multi", "-m", MEMORY,
                   "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
                   "-kernel", MACHINE / "vmlinuz", "-initrd", MACHINE / "initrd.img",
                   "-append", APPEND.format(words),
                   "-drive", f"file={MACHINE / 'disk.img'},if=virtio,format=raw,snapshot=on"]
        if scratch:
            command += ["-drive", f"file={scratch},if=virtio,format={scratch.suffix[1:]}"]
        if network:
            address = f",mac=52:54:00:00:00:{os.urandom(1).hex()}"
            command += ["-netdev", f"{network},id=net", "-device", f"virtio-net-pci,netdev=net{address}"]
        return command

    def pair(self, directory):
        port = free_port()
        return [f"socket,listen=127.0.0.1:{port}", f"socket,connect=127.0.0.1:{port}"], None


def run(command, until=None):
    """Runs a guest to its end and returns its rates; with `until`, leaves it running after that line."""
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    timer = threading.Timer(TIME_LIMIT, process.kill)
    timer.daemon = True
    timer.start()
    rates = {}
    lines = []
    for raw in process.stdout:
        line = raw.decode(errors="replace").strip()
        lines.append(line)
        # What fio says of its progress, which ends no line, may stand before it.
        if match := re.search(r"rate: (.+) ([0-9.e+]+)$", line):
            rates[match[1]] = float(match[2])
        if until and line.endswith(until):
            return process
    timer.cancel()
    if process.wait() or not any(line.endswith("done") for line in lines):
        raise SystemExit("the guest did not get through:\n" + "\n".join(lines[-12:]))
    return rates


def measure_disk(contestant, directory, seconds, form):
    scratch = pathlib.Path(directory) / f"scratch.{form}"
    scratch.unlink(missing_ok=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", form, scratch, str(SCRATCH)], check=True)
    rates = run(contestant.command(f"bench.role=disk bench.seconds={seconds}", scratch=scratch))
    scratch.unlink()
    return {f"{form}: {name}": rate for name, rate in rates.items()}


def measure_host(contestant, seconds):
    port = free_port()
    server = subprocess.Popen(["iperf3", "-s", "-B", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        words = (f"bench.role=client bench.seconds={seconds} bench.address=10.0.2.15/24 "
                 f"bench.server=10.0.2.2:{port} bench.peer=host")
        return run(contestant.command(words, network="user"))
    finally:
        server.terminate()
        server.wait()


def measure_pair(contestant, directory, seconds):
    (first, second), process = contestant.pair(directory)
    words = "bench.role=server bench.address=10.77.0.1/24"
    server = run(contestant.command(words, network=first), until="server: up")
    try:
        words = (f"bench.role=client bench.seconds={seconds} bench.address=10.77.0.2/24 "
                 "bench.server=10.77.0.1:5201 bench.peer=machine")
        return run(contestant.command(words, network=second))
    finally:
        for started in filter(None, (server, process)):
            started.terminate()
            started.wait()


def show(medians):
    print(f"\n{'million bytes or bits a second':36}{'qemu-tcg':>12}{'martlet':>12}{'ours ÷ TCG':>12}")
    for name, ours in medians["martlet"].items():
        theirs = medians.get("qemu-tcg", {}).get(name)
        print(f"{name:36}" + (f"{theirs / 1e6:12.1f}" if theirs else f"{'':12}") + f"{ours / 1e6:12.1f}"
              + (f"{ours / theirs:12.2f}" if theirs else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="disk,network", help="disk, network or both with a comma")
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("BENCH_RUNS", 3)))
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--formats", default=",".join(FORMATS), help="of the scratch disk")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--martlet", type=pathlib.Path, default=ROOT / ".build" / "release" / "martlet")
    options = parser.parse_args()
    only = options.only.split(",")
    subprocess.run([ROOT / "Scripts" / "build-benchmark-disk.sh", options.martlet], check=True)
    contestants = [QEMU(), Martlet(options.martlet)]
    rounds = {contestant.name: [] for contestant in contestants}
    with tempfile.TemporaryDirectory() as directory:
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", flush=True)
            for contestant in contestants:
                rates = {}
                for form in options.formats.split(",") if "disk" in only else ():
                    rates |= measure_disk(contestant, directory, options.seconds, form)
                if "network" in only:
                    rates |= measure_host(contestant, options.seconds)
                    rates |= measure_pair(contestant, directory, options.seconds)
                rounds[contestant.name].append(rates)
    medians = {who: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
               for who, runs in rounds.items()}
    when = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    output = options.json or ROOT / "Benchmarks" / "results" / f"devices-{when.replace(':', '')}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"time": when, "medians": medians, "rounds": rounds}, indent=1))
    show(medians)
    print(f"\nall rounds: {output}")


if __name__ == "__main__":
    main()
