#!/usr/bin/env python3
"""Measures Martlet's software engine beside `qemu-system-x86_64 -accel tcg` and the host itself.

Guests run the same kernel, initramfs, memory, CPUs and command line, in turns, in the same run, so that the
host's moods hit all alike. Printed are medians of seconds and their ratios; less is better.

usage: run.py [--rounds N] [--cpus N] [--martlet PATH] [--json FILE]
"""
import argparse
import json
import math
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
RATE = "martlet: kiloinstructions per second "
RESULT = "bench: "
# `nokaslr` makes runs alike; the rest is what `make run` uses.
APPEND = "console=ttyS0 panic=-1 nokaslr martlet.script="
MEMORY = "512M"
TIME_LIMIT = 600

GROUPS = {
    "integer": ["fib", "sieve", "qsort", "hash", "sha256", "bytecode", "strings", "lz"],
    "scalar floating point": ["nbody"],
    "packed floating point": ["matmul"],
    "system work": ["syscall", "pipe", "fault", "forkexec", "memcpy"],
}


def build(directory):
    """Compiles the programs and puts them in an initramfs; returns it and the programs."""
    loop = directory / "integer-loop"
    subprocess.run(
        ["gcc", "-O2", "-static", "-nostdlib", "-fno-stack-protector", "-fno-builtin", "-fno-pie",
         "-no-pie", "-fcf-protection=none", "-o", loop, ROOT / "Benchmarks" / "integer-loop.c"],
        check=True)
    programs = [loop]
    for name in ("compute-kernels", "system-work"):
        programs.append(directory / name)
        subprocess.run(["gcc", "-O2", "-static", "-o", programs[-1],
                        ROOT / "Benchmarks" / f"{name}.c", "-lm"], check=True)
    image = directory / "initramfs.cpio.gz"
    additions = [word for program in programs for word in ("--add", program)]
    subprocess.run([ROOT / "Scripts" / "build-initramfs.sh", "--output", image, *additions, "amd64"],
                   check=True)
    return image, programs


def contestants(martlet, image, cpus):
    """Command and environment of each that boots the guest."""
    kernel = GUESTS / "cloud-amd64" / "vmlinuz"
    found = {}
    if martlet.exists():
        run = [martlet, "run", "--engine", "software", "--memory", MEMORY, "--cpus", str(cpus),
               "--kernel", kernel, "--initrd", image, "--append"]
        found["martlet"] = (run + [APPEND + "benchmark"], {})
        # The interpreter would take minutes for the rest.
        found["interpreter"] = (run + [APPEND + "loop"], {"MARTLET_TRANSLATION_THRESHOLD": "never"})
    if shutil.which("qemu-system-x86_64"):
        found["qemu-tcg"] = (
            ["qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-accel", "tcg,thread=multi",
             "-m", MEMORY, "-smp", str(cpus), "-nodefaults", "-display", "none", "-serial", "stdio",
             "-no-reboot", "-kernel", kernel, "-initrd", image, "-append", APPEND + "benchmark"], {})
    return found


def read(text, results):
    """Collects what the programs print."""
    for line in text.splitlines():
        if line.startswith(RATE):
            results["loop"] = 1e9 / (int(line[len(RATE):]) * 1000)
        elif line.startswith(RESULT):
            name, seconds, checksum = line[len(RESULT):].split()
            results[name] = float(seconds)
            results.setdefault("checksums", {})[name] = checksum


def boot(command, environment):
    """Runs a guest to its end; returns seconds by name, `boot` for those to its first program."""
    results = {}
    seen = b""
    start = time.monotonic()
    process = subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={**os.environ, **environment})
    try:
        while chunk := os.read(process.stdout.fileno(), 65536):
            seen += chunk
            if "boot" not in results and MARKER in seen:
                results["boot"] = time.monotonic() - start
            if time.monotonic() - start > TIME_LIMIT:
                break
    finally:
        process.kill()
        errors = process.communicate()[1]
    read(seen.decode(errors="replace"), results)
    if "loop" not in results:
        tail = (seen + errors)[-800:].decode(errors="replace")
        raise SystemExit(f"the guest did not get through:\n{tail}")
    return results


def native(programs):
    results = {}
    for program in programs:
        output = subprocess.run([program], stdout=subprocess.PIPE, check=True).stdout
        read(output.decode(), results)
    return results


def check(rounds):
    """All must have computed the same."""
    expected = rounds["native"][0]["checksums"]
    for name, runs in rounds.items():
        for run in runs:
            for kernel, checksum in run.get("checksums", {}).items():
                if checksum != expected[kernel]:
                    raise SystemExit(f"{kernel} on {name}: {checksum} and not {expected[kernel]}")


def geometric_mean(values):
    values = [value for value in values if value]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def show(medians):
    def ratio(name, other):
        ours, theirs = medians["martlet"].get(name), medians.get(other, {}).get(name)
        return ours / theirs if ours and theirs else None

    def cell(value, digits=2):
        return f"{value:12.{digits}f}" if value else f"{'':>12}"

    print(f"\n{'seconds':24}{'native':>12}{'qemu-tcg':>12}{'interpreter':>12}{'martlet':>12}"
          f"{'× native':>12}{'TCG ÷ ours':>12}")

    def row(name, label):
        faster = ratio(name, "qemu-tcg")
        print(f"{label:24}" + "".join(cell(medians.get(who, {}).get(name), 3) for who in (
            "native", "qemu-tcg", "interpreter", "martlet"))
            + cell(ratio(name, "native")) + cell(1 / faster if faster else None))

    def mean(label, names):
        slower = geometric_mean([ratio(name, "native") for name in names])
        faster = geometric_mean([ratio(name, "qemu-tcg") for name in names])
        print(f"{'  geometric mean, ' + label:72}{cell(slower)}{cell(1 / faster if faster else None)}")

    row("boot", "boot to the first program")
    row("loop", "1e9 instructions, loop")
    for group, names in GROUPS.items():
        for name in names:
            row(name, name)
        if len(names) > 1:
            mean(group, names)
    mean("compute", [name for group, names in GROUPS.items() if group != "system work" for name in names])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("BENCH_RUNS", 3)))
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path, help="write all results to this file")
    parser.add_argument("--martlet", type=pathlib.Path,
                        default=ROOT / ".build" / "release" / "martlet")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        image, programs = build(pathlib.Path(directory))
        guests = contestants(options.martlet, image, options.cpus)
        rounds = {name: [] for name in ["native", *guests]}
        for number in range(options.rounds):
            rounds["native"].append(native(programs))
            for name, (command, environment) in guests.items():
                rounds[name].append(boot(command, environment))
                print(f"round {number + 1}: {name:12} {rounds[name][-1]['boot']:6.2f} s to boot",
                      flush=True)
    check(rounds)
    medians = {
        who: {name: statistics.median(run[name] for run in runs)
              for name in runs[0] if name != "checksums"}
        for who, runs in rounds.items()}
    print(f"\nmedians of {options.rounds} rounds, {MEMORY}, {options.cpus} CPUs, Debian's cloud kernel")
    show(medians)
    if options.json:
        options.json.write_text(json.dumps({"medians": medians, "rounds": rounds}, indent=1))


if __name__ == "__main__":
    main()
