#!/usr/bin/env python3
"""Fuzzes each target for a time, with seeds made here.

usage: fuzz.py PROGRAM SECONDS [TARGET]...

Corpora grow in .build/fuzz/corpus/TARGET; an input that fails is kept in .build/fuzz/failures.
libFuzzer prints the random seed; MARTLET_FUZZ_SEED sets it.
"""

import os
import pathlib
import struct
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".build" / "fuzz"
LONGEST = {"decoder": 32, "boot": 16384, "devices": 4096, "network": 4096, "qcow2": 32768}


def bz_image(loadflags, xloadflags):
    """A bzImage with the header fields of the Linux x86 boot protocol 2.15."""
    image = bytearray(5 * 512 + 0x2000)
    for offset, form, value in [
        (0x1F1, "B", 4), (0x1F4, "I", 0x200), (0x1FE, "H", 0xAA55), (0x200, "H", 0x6AEB),
        (0x202, "I", 0x53726448), (0x206, "H", 0x20F), (0x211, "B", loadflags),
        (0x214, "I", 0x100000), (0x22C, "I", 0x7FFFFFFF), (0x230, "I", 0x200000),
        (0x234, "B", 1), (0x235, "B", 21), (0x236, "H", xloadflags), (0x238, "I", 2047),
        (0x258, "Q", 0x1000000), (0x260, "I", 0x400000),
    ]:
        struct.pack_into("<" + form, image, offset, value)
    return bytes(image)


def elf(bits, notes):
    """An ELF kernel with one segment, and a note segment with the Xen notes given."""
    note = b"".join(struct.pack("<III4sI", 4, 4, kind, b"Xen\0", value) for kind, value in notes)
    header = b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9)
    wide = bits == 64
    size, entry = (64, 56) if wide else (52, 32)
    pointer = "Q" if wide else "I"
    header += struct.pack("<HHI" + 3 * pointer + "I6H", 2, 62 if wide else 3, 1, 0x1000010, size, 0,
                          0, size, entry, 2, 0, 0, 0)
    for kind, offset, address, length in [(1, 0x200, 0x1000000, 0x100), (4, 0x180, 0, len(note))]:
        if wide:
            header += struct.pack("<II6Q", kind, 7, offset, address, address, length, length, 4)
        else:
            header += struct.pack("<8I", kind, offset, address, address, length, length, 7, 4)
    return (header.ljust(0x180, b"\0") + note).ljust(0x300, b"\x90")


def device_seeds():
    """Operations of Tests/Fuzzing/Devices: a driver that starts each device and offers it what it is for."""
    start = bytes([0, 2]) + bytes([5] * 8)
    packed = bytes([0, 0]) + bytes([5] * 8)
    small = lambda count: bytes([0, count])
    block = [struct.pack("<IIQ", kind, 0, 1) for kind in (0, 1, 4, 8, 11, 13)]

    def chain(queue, parts):
        """Parts: length's code, flags (2 for the device to write), contents."""
        body = bytes([1, queue | (len(parts) - 1) << 3])
        for number, (length, flags, contents) in enumerate(parts):
            body += bytes([0]) + struct.pack("<H", 0x400 * number) + length + bytes([flags])
            if number == 0:
                body += bytes([len(contents)]) + contents
        return body

    requests = {
        0: [chain(0, [(small(64), 2, b"")])],
        1: [chain(0, [(small(16), 0, header), (bytes([1, 1]), 2 if header[0] in (0, 8) else 0, b""),
                      (small(1), 2, b"")]) for header in block],
        2: [chain(1, [(small(60), 0, bytes(12) + bytes(range(40)))]), chain(0, [(bytes([2, 0, 8]), 2, b"")]),
            chain(4, [(small(8), 0, bytes([4, 0, 2, 0])), (small(1), 2, b"")]),
            bytes([8, 4, 20]) + bytes(34) + bytes([0])],
        3: [chain(1, [(small(40), 0, struct.pack("<II", 40, 26) + bytes(32)), (small(200), 2, b"")])],
    }
    deliver, flr = bytes([7]), bytes([11]) + struct.pack("<I", 1)
    return [bytes([device | behind]) + begin + b"".join(parts) + deliver + begin + parts[0] + flr
            for device, parts in requests.items() for behind in (0, 0x80) for begin in (start, packed)]


def qcow2(version, bits, l2_entries):
    """A qcow2 image of 256 KiB with a header, a refcount table and block, and L1 and L2 tables, one cluster each."""
    size = 1 << bits
    entries = max(1, -(-(256 << 10) // (size * size // 8)))
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", version, 0, 0, bits, 256 << 10, 0, entries,
                         3 * size, size, 1, 0, 0)
    if version == 3:
        header += struct.pack(">QQQII", 0, 0, 0, 4, 104)
    table = struct.pack(">Q", 2 * size)
    counts = struct.pack(">8H", 1, 1, 1, 1, 1, 1, 1, 0)
    level1 = struct.pack(">Q", 4 * size | 1 << 63)
    level2 = struct.pack(f">{len(l2_entries)}Q", *l2_entries)
    clusters = [header, table, counts, level1, level2, b"data", b"more"]
    return b"".join(cluster.ljust(size, b"\0") for cluster in clusters)


def seeds(target):
    if target == "devices":
        return device_seeds()
    if target == "qcow2":
        owned, compressed = 1 << 63, 1 << 62
        return [qcow2(version, bits, [owned | 5 << bits, 1, 0, compressed | 6 << bits])
                for version in (2, 3) for bits in (9, 10, 12)]
    if target == "network":
        # Each kind of frame, among them DHCP and TFTP requests.
        dhcp = bytes([1, 1, 6, 0]) + bytes(232) + bytes([99, 130, 83, 99, 53, 1, 1, 255])
        return [bytes([kind, 56]) + bytes(range(64)) for kind in range(0x80)] + [
            bytes([0x21, 248]) + bytes(8) + dhcp, bytes([0x29, 40]) + bytes(8) + b"\0\1file\0octet\0" + bytes(26)]
    if target == "decoder":
        return [bytes.fromhex(text) for text in [
            "90", "6648818488010203040506 0708", "f00100", "c5f877", "c4e2f0f2d1", "62f17c4858c1",
            "660f3a61d10c", "0f0f00", "d9c2", "f348a5", "67f36da4", "66ea12345678", "c8100001"]]
    choice = bytes(9)
    images = [bz_image(1, 3), bz_image(1, 0), elf(64, [(18, 0x1000040)]),
              elf(32, [(18, 0x1000040), (19, 4096)]), elf(64, [])]
    return [choice + image for image in images] + [
        bytes([3, 0, 0, 0, 0, 2, 0, 0, 0]) + image for image in images]


def alone(command):
    """The command in a network of its own, where packets reach nobody; as it is where that needs rights."""
    if subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode != 0:
        return command
    os.environ["MARTLET_FUZZ_ALONE"] = "yes"
    return ["unshare", "--net", *command]


def main():
    program, seconds = sys.argv[1], int(sys.argv[2])
    for target in sys.argv[3:] or list(LONGEST):
        corpus, failures = FOLDER / "corpus" / target, FOLDER / "failures"
        corpus.mkdir(parents=True, exist_ok=True)
        failures.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds(target)):
            (corpus / f"seed-{number}").write_bytes(seed)
        command = [program, target, f"-max_total_time={seconds}", "-timeout=10",
                   f"-artifact_prefix={failures}/{target}-", "-print_final_stats=1",
                   f"-max_len={LONGEST[target]}", "-len_control=20"]
        if "MARTLET_FUZZ_SEED" in os.environ:
            command.append("-seed=" + os.environ["MARTLET_FUZZ_SEED"])
        if target == "network":
            command = alone(command)
        print(f"fuzz: {target} for {seconds} s", flush=True)
        if subprocess.run(command + [str(corpus)], check=False).returncode != 0:
            sys.exit(f"fuzz: {target} failed; its input lies in {failures}")


if __name__ == "__main__":
    main()
