#!/usr/bin/env python3
"""Measures Martlet's software engine beside `qemu-system-x86_64 -accel tcg`.

Both run the same kernel and initramfs with the same memory, CPUs and command line, in turns, in the
same run, so that the host's moods hit both. Printed are medians and their ratio.

usage: run.py [--rounds N] [--martlet PATH]
"""
import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
GUESTS = pathlib.Path(os.environ.get("MARTLET_GUESTS") or CACHE / "martlet" / "guests")
MARKER = b"martlet: the guest is up"
RATE = b"martlet: kiloinstructions per second "
# `nokaslr` and the quiet clock make runs alike; the rest is what `make run` uses.
APPEND = "console=ttyS0 panic=-1 nokaslr martlet.script=benchmark"
MEMORY = "512M"
TIME_LIMIT = 300


def build_guest(directory):
    """Compiles the loop and puts it in an initramfs; returns both paths."""
    program = directory / "integer-loop"
    subprocess.run(
        ["gcc", "-O2", "-static", "-nostdlib", "-fno-stack-protector", "-fno-builtin",
         "-fno-pie", "-no-pie", "-fcf-protection=none", "-o", program,
         ROOT / "Benchmarks" / "integer-loop.c"], check=True)
    image = directory / "initramfs.cpio.gz"
    subprocess.run(
        [ROOT / "Scripts" / "build-initramfs.sh", "--output", image, "--add", program, "amd64"],
        check=True)
    return program, image


def commands(martlet, kernel, image):
    guest = ["-kernel", kernel, "-initrd", image, "-append", APPEND]
    found = {}
    if martlet.exists():
        found["interpreter"] = ["env", "MARTLET_TRANSLATION_THRESHOLD=never",
            martlet, "run", "--engine", "software", "--memory", MEMORY, "--cpus", "1",
            "--kernel", kernel, "--initrd", image, "--append", APPEND,
        ]
        found["martlet"] = [
            martlet, "run", "--engine", "software", "--memory", MEMORY, "--cpus", "1",
            *("-" + word if word in ("-kernel", "-initrd", "-append") else word for word in guest)]
    if shutil.which("qemu-system-x86_64"):
        found["qemu-tcg"] = [
            "qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-m", MEMORY, "-smp", "1",
            "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot", *guest]
    return found


def measure(command):
    """Runs a guest to its end; returns seconds to the marker and million instructions a second."""
    start = time.monotonic()
    seconds = rate = None
    seen = b""
    process = subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    try:
        while chunk := os.read(process.stdout.fileno(), 65536):
            seen += chunk
            if seconds is None and MARKER in seen:
                seconds = time.monotonic() - start
            if time.monotonic() - start > TIME_LIMIT:
                break
        for line in seen.splitlines():
            if line.startswith(RATE):
                rate = int(line[len(RATE):]) / 1000
    finally:
        process.kill()
        errors = process.communicate()[1]
    if seconds is None or rate is None:
        tail = (seen + errors)[-800:].decode(errors="replace")
        raise SystemExit(f"the guest did not get through:\n{tail}")
    return seconds, rate


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--martlet", type=pathlib.Path,
                        default=ROOT / ".build" / "release" / "martlet")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        program, image = build_guest(pathlib.Path(directory))
        contestants = commands(options.martlet, GUESTS / "cloud-amd64" / "vmlinuz", image)
        results = {name: [] for name in contestants}
        native = []
        for number in range(options.rounds):
            output = subprocess.run([program], stdout=subprocess.PIPE, check=True).stdout
            native.append(int(output[len(RATE):]) / 1000)
            for name, command in contestants.items():
                seconds, rate = measure(command)
                results[name].append((seconds, rate))
                print(f"round {number + 1}: {name:9} {seconds:6.2f} s to the shell, "
                      f"{rate:8.1f} million instructions/s", flush=True)

    print(f"\nmedians of {options.rounds} rounds, {MEMORY}, 1 CPU, Debian's cloud kernel")
    print(f"{'':10} {'start to shell':>16} {'integer loop':>20}")
    medians = {}
    for name, runs in results.items():
        medians[name] = tuple(statistics.median(column) for column in zip(*runs))
        print(f"{name:10} {medians[name][0]:14.2f} s {medians[name][1]:14.1f} M/s")
    print(f"{'native':10} {'':>16} {statistics.median(native):14.1f} M/s")
    if {"martlet", "qemu-tcg"} <= medians.keys():
        ours, theirs = medians["martlet"], medians["qemu-tcg"]
        print(f"\nmartlet : qemu-tcg   time {ours[0] / theirs[0]:.2f}   "
              f"instruction rate {ours[1] / theirs[1]:.2f}")


if __name__ == "__main__":
    main()
