#!/usr/bin/env python3
"""Boots a Debian system under systemd and uses it as people do, on the software engine.

usage: debian.py [--martlet PROGRAM] [--only PART]... [--logs FOLDER]

Parts: system (login, network, package manager, ssh, shared folder, a clean file system), qemu (the same image under
QEMU, and an image made for QEMU here), qcow2 (the system on a qcow2 image, here and under QEMU), pair (two machines
on a switch).

Needs root, mmdebstrap, e2fsprogs and a Debian mirror; says why it is skipped where one of them is missing, and ends
with status 77 then. The image is kept in the guests' cache, by what it is made of.
"""
import argparse
import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import services
from console import DebianConsole, Failure

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
GUESTS = pathlib.Path(os.environ.get("MARTLET_GUESTS") or CACHE / "martlet" / "guests")
BUILDER = ROOT / "Sources" / "MartletCLI" / "MachineFiles" / "DebianBuilder.swift"
PASSWORD = "martlet"
PACKAGES = "curl,iperf3,iputils-ping,pciutils"
NAME_SERVER = "127.0.0.77"
BLOB = 32 << 20
SKIPPED = 77
PARTS = ("system", "qemu", "qcow2", "pair")


def skip(reason):
    print(f"debian.py: skipped: {reason}")
    sys.exit(SKIPPED)


def note(text):
    print(f"ok: {text}", flush=True)


def check(condition, text):
    if not condition:
        raise Failure(text)
    note(text)


def tool(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def enter_own_mounts():
    """Runs the rest in mounts of its own, where the host's name server is ours."""
    if os.environ.get("MARTLET_SYSTEM_TEST_MOUNTS") == "own":
        resolver = tempfile.NamedTemporaryFile("w", suffix=".conf")
        resolver.write(f"nameserver {NAME_SERVER}\n")
        resolver.flush()
        subprocess.run(["mount", "--bind", resolver.name, os.path.realpath("/etc/resolv.conf")], check=True)
        return True
    probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True)
    if probe.returncode != 0:
        return False
    environment = dict(os.environ, MARTLET_SYSTEM_TEST_MOUNTS="own")
    os.execvpe("unshare", ["unshare", "--mount", sys.executable, *sys.argv], environment)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Machine:
    """The image in the cache, and copies of it to run."""

    def __init__(self, martlet, directory):
        self.martlet = martlet
        self.directory = directory
        self.key = directory / "key"
        self.origin = None

    def prepare(self):
        """Makes the image if it is not there, or not of what it would be made of now."""
        inputs = hashlib.sha256(BUILDER.read_bytes() + PACKAGES.encode()).hexdigest()
        self.origin = GUESTS / "system-test-machine"
        stamp = self.origin / "inputs"
        if not stamp.exists() or stamp.read_text() != inputs:
            GUESTS.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.origin, ignore_errors=True)
            key = self.directory / "new-key"
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
            subprocess.run([self.martlet, "new", "debian", self.origin, "--ssh-key", f"{key}.pub", "--packages",
                            PACKAGES, "--size", "2G"], check=True)
            shutil.move(key, self.origin / "key")
            stamp.write_text(inputs)
        shutil.copy(self.origin / "key", self.key)
        self.key.chmod(0o600)

    def copy_disk(self, name):
        disk = self.directory / name
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", self.origin / "disk.img", disk], check=True)
        return disk

    def start(self, disk, *options, name="martlet", root="/dev/vda"):
        command = [self.martlet, "run", "--engine", "software", "--kernel", self.origin / "vmlinuz", "--initrd",
                   self.origin / "initrd.img", "--append", f"console=ttyS0 root={root} rw", "--memory", "1G", "--disk",
                   disk, *options]
        return DebianConsole(name, command, self.directory / f"{name}.log")

    def start_qemu(self, disk, *options, root="/dev/vda", format="raw"):
        command = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "max", "-m", "1G", "-nodefaults",
                   "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", self.origin / "vmlinuz", "-initrd",
                   self.origin / "initrd.img", "-append", f"console=ttyS0 root={root} rw", "-drive",
                   f"file={disk},if=virtio,format={format}", *options]
        return DebianConsole("qemu", command, self.directory / "qemu.log")


def check_file_system(disk, offset=0):
    place = f"{disk}?offset={offset}" if offset else disk
    # The journal was emptied at the end: nothing is to be mended, and nothing to be replayed.
    header = subprocess.run([tool("dumpe2fs"), "-h", place], capture_output=True, text=True)
    check("needs_recovery" not in header.stdout and "clean" in header.stdout, "the journal is empty after poweroff")
    result = subprocess.run([tool("e2fsck"), "-fn", place], capture_output=True, text=True)
    check(result.returncode == 0, f"e2fsck -fn finds no fault{'' if result.returncode == 0 else result.stdout}")


# MARK: Parts


def check_traffic(console, port, digest, has_names):
    url = f"http://10.0.2.2:{port}"
    start = time.monotonic()
    output = console.run(f"curl -sS {url}/blob | sha256sum", 300)
    seconds = time.monotonic() - start
    check(digest in output, f"{BLOB >> 20} MiB came from the host's HTTP server ({BLOB / seconds / 1e6:.0f} MB/s)")
    console.run("head -c 8388608 /dev/urandom >/tmp/upload", 120)
    sent = console.run("sha256sum </tmp/upload", 60).split()[0]
    check(sent in console.run(f"curl -sS -T /tmp/upload {url}/upload", 300), "8 MiB went to it")
    check(" 0% packet loss" in console.run("ping -c 3 -s 40000 10.0.2.2", 60), "the gateway answers in fragments, too")
    if has_names:
        host = services.DOMAIN
        check("10.0.2.2" in console.run(f"getent ahostsv4 {host}", 60), "a name is found through 10.0.2.3")
        console.run("getent ahostsv4 nowhere.martlet.test", 60, status=2)
        note("a name that is nowhere is not found")
    else:
        host = "10.0.2.2"
    console.run("rm -f /etc/apt/sources.list.d/*; "
                f"echo 'deb [trusted=yes] http://{host}:{port}/ ./' >/etc/apt/sources.list")
    console.run("apt-get -q update", 300)
    console.run(f"apt-get -q -y install {services.PACKAGE} </dev/null", 300)
    check(services.GREETING in console.run(f"cat /usr/share/{services.PACKAGE}"), "apt-get installed a package")


def check_shell(machine, port):
    command = ["ssh", "-i", machine.key, "-p", str(port), "-o", "StrictHostKeyChecking=no", "-o",
               "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "ConnectTimeout=60", "root@127.0.0.1"]
    result = subprocess.run(command + ["hostname; cat"], input=b"through the forwarded port", capture_output=True,
                            timeout=300)
    check(result.stdout == b"debian\nthrough the forwarded port",
          "ssh reaches sshd through the forwarded port" if result.returncode == 0 else f"ssh: {result.stderr}")


def check_share(console, share):
    (share / "from-host").write_text("written by the host\n")
    check(console.run("cat /mnt/share/from-host") == "written by the host", "the guest sees the host's file")
    console.run("echo 'written by the guest' >/mnt/share/from-guest; mkdir /mnt/share/folder; "
                "mv /mnt/share/from-guest /mnt/share/folder/; "
                "dd if=/tmp/upload of=/mnt/share/upload bs=1M status=none; sync /mnt/share/upload")
    check((share / "folder" / "from-guest").read_text() == "written by the guest\n", "the host sees the guest's file")
    sent = console.run("sha256sum </tmp/upload", 60).split()[0]
    check(hashlib.sha256((share / "upload").read_bytes()).hexdigest() == sent, "8 MiB are the same on both sides")
    (share / "from-host").write_text("written again, at another length\n")
    time.sleep(2)
    check(console.run("cat /mnt/share/from-host") == "written again, at another length",
          "the guest sees what the host changed")


def test_system(machine, has_names):
    share = machine.directory / "share"
    share.mkdir()
    repository = machine.directory / "repository"
    repository.mkdir()
    site, digest = services.make_repository(repository, BLOB)
    port = services.serve_files(site)
    forward = free_port()
    disk = machine.copy_disk("system.img")
    start = time.monotonic()
    console = machine.start(disk, "--net", f"user,forward=tcp:127.0.0.1:{forward}:22", "--share", share)
    try:
        console.log_in(PASSWORD, 600)
        note(f"a login prompt ({time.monotonic() - start:.0f} s)")
        state = console.run("systemctl is-system-running --wait; systemctl --failed --no-legend", 600)
        check(state == "running", f"systemd says '{state}'")
        check_traffic(console, port, digest, has_names)
        check_shell(machine, forward)
        check_share(console, share)
        console.run("echo kept >/root/kept")
        console.power_off(300)
        note("poweroff ends the machine with status 0")
    finally:
        console.close()
    check_file_system(disk)
    return disk


def test_qemu(machine, used):
    if not tool("qemu-system-x86_64") or not tool("sfdisk"):
        print("debian.py: skipped the comparison with QEMU: qemu-system-x86_64 or sfdisk is missing")
        return
    if used:
        console = machine.start_qemu(used)
        try:
            console.log_in(PASSWORD, 600)
            check(console.run("cat /root/kept") == "kept", "the image boots under QEMU, and has what was written here")
            console.power_off(300)
        finally:
            console.close()
        check_file_system(used)
    # As images for QEMU are: partitioned, the root file system in the second partition, found by its label.
    disk = machine.directory / "partitioned.img"
    offset = 64 << 20
    source = machine.origin / "disk.img"
    with open(disk, "wb") as file:
        file.truncate(offset + source.stat().st_size + (1 << 20))
    layout = ("label: gpt\nstart=1MiB, size=63MiB, type=uefi\n"
              f"start=64MiB, size={source.stat().st_size >> 20}MiB, type=linux\n")
    subprocess.run([tool("sfdisk"), "-q", disk], input=layout, text=True, check=True, capture_output=True)
    subprocess.run(["dd", f"if={source}", f"of={disk}", "bs=1M", "seek=64", "conv=notrunc,sparse", "status=none"],
                   check=True)
    subprocess.run([tool("tune2fs"), "-L", "root", f"{disk}?offset={offset}"], check=True, capture_output=True)
    for start in (machine.start_qemu, machine.start):
        console = start(disk, root="LABEL=root")
        try:
            console.log_in(PASSWORD, 600)
            check("/dev/vda2" in console.run("findmnt -no SOURCE /"), f"{console.name} boots a partitioned image")
            console.run("echo \"$(cat /root/boots 2>/dev/null)x\" >/root/boots")
            boots = console.run("cat /root/boots")
            console.power_off(300)
        finally:
            console.close()
    check(boots == "xx", "Martlet sees what the guest wrote under QEMU")
    check_file_system(disk, offset)


def test_qcow2(machine, _):
    missing = [name for name in ("qemu-img", "qemu-system-x86_64") if not tool(name)]
    if missing:
        print(f"debian.py: skipped the system on qcow2: {', '.join(missing)} is missing")
        return
    disk = machine.directory / "system.qcow2"
    subprocess.run([machine.martlet, "image", "convert", "--format", "qcow2", machine.origin / "disk.img", disk],
                   check=True)
    steps = (("martlet", lambda: machine.start(disk)), ("qemu", lambda: machine.start_qemu(disk, format="qcow2")))
    digest = None
    for name, start in steps:
        console = start()
        try:
            console.log_in(PASSWORD, 600)
            if digest is None:
                console.run("head -c 33554432 /dev/urandom >/root/written; sync", 120)
                digest = console.run("sha256sum </root/written", 120)
            else:
                check(console.run("sha256sum </root/written", 120) == digest, "QEMU reads what was written here")
            console.power_off(300)
        finally:
            console.close()
        result = subprocess.run([tool("qemu-img"), "check", disk], capture_output=True, text=True)
        check(result.returncode == 0, f"after {name}, qemu-img check finds "
              f"{'nothing' if result.returncode == 0 else result.stdout + result.stderr}")
    raw = machine.directory / "system-again.img"
    subprocess.run([tool("qemu-img"), "convert", "-O", "raw", disk, raw], check=True)
    check_file_system(raw)


def test_pair(machine, _):
    path = machine.directory / "switch"
    switch = subprocess.Popen([machine.martlet, "switch", path])
    consoles = []
    try:
        while not path.exists():
            time.sleep(0.05)
        for number in (1, 2):
            consoles.append(machine.start(f"{machine.origin / 'disk.img'},snapshot=on", "--net",
                                          f"switch,path={path}", name=f"machine-{number}"))
        for number, console in enumerate(consoles, 1):
            console.log_in(PASSWORD, 600)
            console.run("systemctl stop systemd-networkd.socket systemd-networkd; ip link set dev en* up 2>/dev/null; "
                        f"for i in /sys/class/net/en*; do ip link set ${{i##*/}} up; "
                        f"ip address add 10.77.0.{number}/24 dev ${{i##*/}}; done")
        first, second = consoles
        check(" 0% packet loss" in second.run("ping -c 10 -i 0.2 10.77.0.1", 60), "two machines ping each other")
        check(" 0% packet loss" in first.run("ping -c 3 -s 1400 10.77.0.2", 60), "in both directions")
        first.run("iperf3 -s -D >/dev/null")
        for direction in ("", " -R"):
            first.run("true")
            output = second.run(f"iperf3 -c 10.77.0.1 -t 3 -f m{direction} | grep receiver", 120)
            rate = float(output.split()[6])
            check(rate > 50, f"iperf3{direction} between two machines: {rate:.0f} Mbit/s")
        for console in consoles:
            console.power_off(300)
    finally:
        for console in consoles:
            console.close()
        switch.terminate()
        switch.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--martlet", type=pathlib.Path, default=ROOT / ".build" / "release" / "martlet")
    parser.add_argument("--only", action="append", choices=PARTS, help="(default: all)")
    parser.add_argument("--logs", type=pathlib.Path, default=ROOT / ".build" / "system-test",
                        help="where the consoles' logs are left")
    options = parser.parse_args()
    if os.getuid() != 0:
        skip("making a file system with its owners needs root")
    missing = [name for name in ("mmdebstrap", "mke2fs", "e2fsck", "ssh", "dpkg-deb") if not tool(name)]
    if missing:
        skip(f"missing: {', '.join(missing)}: run Scripts/install-packages.sh system")
    # What the mirror is asked, it is asked by the host's own name server.
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as directory:
        Machine(options.martlet, pathlib.Path(directory)).prepare()
    has_names = enter_own_mounts()
    if has_names:
        services.serve_names(NAME_SERVER, "10.0.2.2")
    else:
        print("debian.py: names are not looked up: this host does not let us have mounts of our own")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="martlet-system-"))
    try:
        machine = Machine(options.martlet, directory)
        machine.prepare()
        parts = options.only or PARTS
        used = test_system(machine, has_names) if "system" in parts else None
        if "qemu" in parts:
            test_qemu(machine, used)
        if "qcow2" in parts:
            test_qcow2(machine, used)
        if "pair" in parts:
            test_pair(machine, used)
    except Failure as failure:
        sys.exit(f"debian.py: failed: {failure}\nthe consoles' logs: {options.logs}")
    finally:
        options.logs.mkdir(parents=True, exist_ok=True)
        for log in directory.glob("*.log"):
            shutil.copy(log, options.logs)
        shutil.rmtree(directory)
    print("debian.py: all well")


if __name__ == "__main__":
    main()
