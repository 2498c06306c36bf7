#!/usr/bin/env python3
"""Measures Martlet's software engine beside `qemu-system-x86_64 -accel tcg` and the host itself.

Guests run the same kernel, initramfs, memory, CPUs and command line, in turns, in the same run, so that the
host's moods hit all alike. Printed are medians of seconds and their ratios; less is better.
"""
import argparse
import datetime
import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
GUESTS = pathlib.Path(os.environ.get("MARTLET_GUESTS") or CACHE / "martlet" / "guests")
MARKER = "martlet: the guest is up"
RATE = "martlet: kiloinstructions per second "
RESULT = "bench: "
# Bytes a second, last on the line; taken as the seconds for a gigabyte.
OPENSSL = "openssl: "
# `nokaslr` makes runs alike; the rest is what `make run` uses.
APPEND = "console=ttyS0 panic=-1 nokaslr martlet.script="
MEMORY = "512M"
PROGRAM_MEMORY = "2G"
# Each real program runs in as many copies as there are CPUs.
PROGRAM_CPUS = (1, 2)
TIME_LIMIT = 600
# What a guest may claim beside the host's clock before it is reported: a factor and seconds.
CLOCK_TOLERANCE = (1.05, 0.1)

GROUPS = {
    "integer": ["fib", "sieve", "qsort", "hash", "sha256", "bytecode", "strings", "lz"],
    "scalar floating point": ["nbody"],
    "packed floating point": ["matmul"],
    "system work": ["syscall", "pipe", "fault", "forkexec", "memcpy"],
    **{f"real programs, {cpus} CPU": [
        f"{program} ×{cpus}" for program in (
            "python3", "perl", "gcc", "sqlite3", "xz", "openssl sha256", "openssl aes-128-cbc")]
       for cpus in PROGRAM_CPUS},
}
INTEGER = GROUPS["integer"]
COMPUTE = INTEGER + GROUPS["scalar floating point"] + GROUPS["packed floating point"]
# The programs of the small guest by what `--only` calls them.
PROGRAMS = {"loop": "integer-loop", "compute": "compute-kernels", "system": "system-work"}
PARTS = ["boot", *PROGRAMS, "programs"]
# What devices.py measures.
DEVICE_PARTS = ["disk", "network"]


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


def qemu(memory, cpus, kernel, image, append):
    return ["qemu-system-x86_64", "-M", "q35", "-cpu", "max", "-accel", "tcg,thread=multi",
            "-m", memory, "-smp", str(cpus), "-nodefaults", "-display", "none", "-serial", "stdio",
            "-no-reboot", "-kernel", kernel, "-initrd", image, "-append", append]


def martlet(path, memory, cpus, kernel, image, append):
    return [path, "run", "--engine", "software", "--memory", memory, "--cpus", str(cpus),
            "--kernel", kernel, "--initrd", image, "--append", append]


def contestants(path, only):
    """How each contestant boots a guest: its name, and a function that makes the command."""
    found = {"martlet": lambda *guest: martlet(path, *guest)}
    if "loop" in only:
        # The interpreter would take minutes for the rest.
        found["interpreter"] = found["martlet"]
    if shutil.which("qemu-system-x86_64"):
        found["qemu-tcg"] = qemu
    return found


def read(line, results, suffix=""):
    """Takes in a line of what the programs print; returns the name of the result in it."""
    if line.startswith(RATE):
        results["loop"] = 1e9 / (int(line[len(RATE):]) * 1000)
        return "loop"
    if line.startswith(RESULT):
        name, seconds, checksum = line[len(RESULT):].split()
        results[name + suffix] = float(seconds)
        results.setdefault("checksums", {})[name + suffix] = checksum
        return name + suffix
    if line.startswith(OPENSSL):
        name, speed = line[len(OPENSSL):].split()
        results[f"openssl {name}{suffix}"] = 1e9 / float(speed.split(":")[-1])
    return None


def check_clock(name, claimed, elapsed):
    """A guest's clock must not run slower than the host's: that would make the guest look fast."""
    factor, seconds = CLOCK_TOLERANCE
    if elapsed > claimed * factor + seconds:
        print(f"  {name}: the guest says {claimed:.3f} s, the host's clock {elapsed:.3f} s", flush=True)


def boot(command, environment, suffix=""):
    """Runs a guest to its end; returns seconds by name, `boot` for those to its first program."""
    results = {}
    lines = []
    start = time.monotonic()
    last = None
    process = subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env={**os.environ, **environment})
    timer = threading.Timer(TIME_LIMIT, process.kill)
    timer.start()
    try:
        for raw in process.stdout:
            now = time.monotonic()
            line = raw.decode(errors="replace").strip()
            lines.append(line)
            if line == MARKER:
                results["boot"] = now - start
            name = read(line, results, suffix)
            # The loop measures several times and names the best: nothing to compare.
            if name and name != "loop" and last is not None:
                check_clock(name, results[name], now - last)
            if name or line == MARKER:
                last = now
    finally:
        timer.cancel()
        process.kill()
        process.wait()
    if process.returncode or "boot" not in results:
        raise SystemExit("the guest did not get through:\n" + "\n".join(lines[-12:]))
    return results


def native(commands):
    results = {}
    for command, suffix in commands:
        output = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        for line in output.decode().splitlines():
            read(line, results, suffix)
    return results


def run_round(guests, image, programs, only):
    """Measures once, everyone in turn: what follows on each other in time is compared."""
    kernel = GUESTS / "cloud-amd64" / "vmlinuz"
    measured = {name: {} for name in ["native", *guests]}

    def take(name, results):
        ours = measured[name]
        ours.setdefault("checksums", {}).update(results.pop("checksums", {}))
        ours.update(results)

    chosen = [program for part, program in PROGRAMS.items() if part in only]
    if chosen or "boot" in only:
        take("native", native([([program], "") for program in programs if program.name in chosen]))
        for name, command in guests.items():
            alone = name == "interpreter"
            append = f"{APPEND}benchmark martlet.only={','.join(chosen[:1] if alone else chosen)}"
            environment = {"MARTLET_TRANSLATION_THRESHOLD": "never"} if alone else {}
            take(name, boot(command(MEMORY, 1, kernel, image, append), environment))
    if "programs" in only:
        for cpus in PROGRAM_CPUS:
            suffix = f" ×{cpus}"
            take("native", native([(["chroot", GUESTS / "benchmark-root", "/bench/run", str(cpus)], suffix)]))
            for name, command in guests.items():
                if name == "interpreter":
                    continue
                append = APPEND.split(" martlet.script")[0]
                system = GUESTS / "benchmark-root.cpio"
                results = boot(command(PROGRAM_MEMORY, cpus, kernel, system, append), {}, suffix)
                # Unpacking 300 MB is no boot to compare.
                del results["boot"]
                take(name, results)
    return measured


def check(rounds):
    """All must have computed the same."""
    expected = rounds["native"][0].get("checksums", {})
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

    def has(names):
        return any(name in results for results in medians.values() for name in names)

    for name, label in (("boot", "boot to the first program"), ("loop", "1e9 instructions, loop")):
        if has([name]):
            row(name, label)
    for group, names in GROUPS.items():
        if not has(names):
            continue
        for name in names:
            row(name, name)
        if len(names) > 1:
            mean(group, names)
        if group == "packed floating point":
            mean("compute", COMPUTE)


def parse_only(text):
    everything = PARTS + DEVICE_PARTS
    parts = everything if text == "all" else text.split(",")
    for part in parts:
        if part not in everything:
            raise argparse.ArgumentTypeError(f"'{part}' is none of all, {', '.join(everything)}")
    return parts


def measure_devices(options, parts):
    """Returns the exit status of devices.py, which says itself what it found."""
    if os.getuid() != 0:
        print(f"skipped {' and '.join(parts)}: making their guest needs root")
        return 0
    program = ROOT / "Benchmarks" / "devices.py"
    return subprocess.run([program, "--only", ",".join(parts), "--rounds", str(options.rounds), "--martlet",
                           options.martlet], check=False).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("BENCH_RUNS", 3)))
    parser.add_argument("--only", type=parse_only, default=PARTS + DEVICE_PARTS,
                        metavar="PART[,PART]...", help=f"all (default), {', '.join(PARTS + DEVICE_PARTS)}")
    parser.add_argument("--json", type=pathlib.Path,
                        help="write all results here (default: Benchmarks/results/TIME.json)")
    parser.add_argument("--martlet", type=pathlib.Path,
                        default=ROOT / ".build" / "release" / "martlet")
    options = parser.parse_args()
    devices = [part for part in options.only if part in DEVICE_PARTS]
    options.only = [part for part in options.only if part in PARTS]
    if options.only:
        measure_processor(options)
    if devices:
        sys.exit(measure_devices(options, devices))


def measure_processor(options):
    if "programs" in options.only:
        subprocess.run([ROOT / "Scripts" / "build-benchmark-root.sh"], check=True)
    with tempfile.TemporaryDirectory() as directory:
        image, programs = build(pathlib.Path(directory))
        guests = contestants(options.martlet, options.only)
        rounds = {name: [] for name in ["native", *guests]}
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", flush=True)
            for name, results in run_round(guests, image, programs, options.only).items():
                rounds[name].append(results)
    medians = {
        who: {name: statistics.median(run[name] for run in runs if name in run)
              for name in runs[0] if name != "checksums"}
        for who, runs in rounds.items()}
    when = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    output = options.json or ROOT / "Benchmarks" / "results" / f"{when.replace(':', '')}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"time": when, "medians": medians, "rounds": rounds}, indent=1))
    print(f"\nmedians of {options.rounds} rounds, Debian's cloud kernel")
    show(medians)
    print(f"\nall rounds: {output}")
    check(rounds)


if __name__ == "__main__":
    main()
