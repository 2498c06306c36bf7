import Foundation
import Martlet

/// Makes a directory with a Debian system: its disk, its kernel and initial RAM disk, and a machine file.
struct DebianBuilder {
  let directory: String
  let suite: String
  let byteCount: UInt64
  let packages: [String]
  let hostname: String
  let password: String
  let keys: String

  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  private static let basicPackages = [
    "linux-image-cloud-amd64", "initramfs-tools", "systemd-sysv", "udev", "dbus", "iproute2",
    "openssh-server", "ca-certificates",
  ]

  func build() throws {
    let files = FileManager.default
    let target = URL(fileURLWithPath: directory)
    guard !files.fileExists(atPath: target.path) else {
      throw Failure(description: "\(directory) is there already: remove it, or choose another name")
    }
    guard getuid() == 0 else {
      throw Failure(
        description: "making a file system with its owners needs root: run this with sudo")
    }
    for tool in ["mmdebstrap", "mke2fs"] where Self.path(of: tool) == nil {
      throw Failure(description: "\(tool) is missing: run `apt-get install mmdebstrap e2fsprogs`")
    }
    guard hostname.wholeMatch(of: /[A-Za-z0-9][A-Za-z0-9-]{0,62}/) != nil else {
      throw Failure(
        description: "'\(hostname)' is no name of a host: use letters, digits and hyphens")
    }
    // Beside its final place, so that nothing half-done is ever found there.
    let workspace = target.deletingLastPathComponent()
      .appending(path: ".\(target.lastPathComponent).\(ProcessInfo.processInfo.processIdentifier)")
    try files.createDirectory(at: workspace, withIntermediateDirectories: true)
    defer { try? files.removeItem(at: workspace) }
    let result = workspace.appending(path: "machine")
    let root = workspace.appending(path: "root")
    try files.createDirectory(at: result, withIntermediateDirectories: true)
    try bootstrap(root, workspace)
    try takeKernel(from: root, to: result)
    try makeDisk(of: root, at: result.appending(path: "disk.img"))
    try files.createDirectory(
      at: result.appending(path: "share"), withIntermediateDirectories: true)
    try machineFile.write(
      to: result.appending(path: "machine.yaml"), atomically: false, encoding: .utf8)
    try files.moveItem(at: result, to: target)
    print(
      """
      Boot it with:

        martlet run \(directory)/machine.yaml

      Root's password at the console is '\(password)'\(keys.isEmpty ? "." : "; by SSH your key opens it:")
      \(keys.isEmpty ? "" : "\n  ssh -p 2222 root@127.0.0.1\n")
      """)
  }

  // MARK: Steps

  private func bootstrap(_ root: URL, _ workspace: URL) throws {
    let settings = workspace.appending(path: "settings")
    try writeSettings(to: settings)
    let packages = (Self.basicPackages + packages).joined(separator: ",")
    try run(
      "mmdebstrap",
      [
        "--variant=minbase", "--include=\(packages)",
        "--customize-hook=cp -r \"$MARTLET_SETTINGS/.\" \"$1/\"",
        "--customize-hook=chown -R root:root \"$1/root/.ssh\"",
        "--customize-hook=echo \"root:$MARTLET_PASSWORD\" | chroot \"$1\" chpasswd",
        "--customize-hook=chroot \"$1\" systemctl enable -q systemd-networkd",
        suite, root.path,
      ],
      environment: ["MARTLET_SETTINGS": settings.path, "MARTLET_PASSWORD": password]
    ) { line in
      line.hasPrefix("I: ") && !line.contains("-hook in shell") ? String(line.dropFirst(3)) : nil
    }
  }

  /// The files that make it this machine.
  private func writeSettings(to settings: URL) throws {
    func write(_ text: String, to path: String, mode: Int = 0o644) throws {
      let file = settings.appending(path: path)
      try FileManager.default.createDirectory(
        at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try text.write(to: file, atomically: false, encoding: .utf8)
      try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file.path)
    }
    try write("\(hostname)\n", to: "etc/hostname")
    try write("127.0.0.1 localhost\n127.0.1.1 \(hostname)\n", to: "etc/hosts")
    // The share is mounted when it is looked into, so that a machine without it starts all the same.
    try write(
      """
      /dev/vda / ext4 errors=remount-ro 0 1
      share /mnt/share virtiofs noauto,nofail,x-systemd.automount 0 0

      """, to: "etc/fstab")
    try write(
      "[Match]\nName=en*\n\n[Network]\nDHCP=yes\n", to: "etc/systemd/network/80-dhcp.network")
    try write("nameserver 10.0.2.3\n", to: "etc/resolv.conf")
    try FileManager.default.createDirectory(
      at: settings.appending(path: "mnt/share"), withIntermediateDirectories: true)
    try write(keys, to: "root/.ssh/authorized_keys", mode: 0o600)
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o700], ofItemAtPath: settings.appending(path: "root/.ssh").path)
  }

  private func takeKernel(from root: URL, to result: URL) throws {
    let boot = root.appending(path: "boot")
    for (prefix, name) in [("vmlinuz-", "vmlinuz"), ("initrd.img-", "initrd.img")] {
      let files = try FileManager.default.contentsOfDirectory(atPath: boot.path)
      guard let file = files.filter({ $0.hasPrefix(prefix) }).max() else {
        throw Failure(
          description: "Debian's packages brought no \(prefix)…: was the kernel installed?")
      }
      try FileManager.default.copyItem(
        at: boot.appending(path: file), to: result.appending(path: name))
    }
  }

  private func makeDisk(of root: URL, at disk: URL) throws {
    say("writing the disk")
    guard FileManager.default.createFile(atPath: disk.path, contents: nil) else {
      throw Failure(description: "\(disk.path) cannot be made: is the disk full?")
    }
    let file = try FileHandle(forWritingTo: disk)
    try file.truncate(atOffset: byteCount)
    try file.close()
    try run("mke2fs", ["-q", "-t", "ext4", "-d", root.path, disk.path], environment: [:]) { _ in nil
    }
  }

  private var machineFile: String {
    """
    # A Debian machine; `martlet run --help` tells what else can stand here.
    kernel: vmlinuz
    initrd: initrd.img
    append: console=ttyS0 root=/dev/vda rw
    memory: 1G
    cpus: 1
    disks:
      - path: disk.img
    networks:
      - kind: user
        forward: 2222:22
    shares:
      - path: share
        tag: share

    """
  }

  // MARK: Tools

  private func say(_ text: String) {
    FileHandle.standardError.write(Data("martlet: \(text)\n".utf8))
  }

  private static func path(of tool: String) -> String? {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin"
    return path.split(separator: ":").map { "\($0)/\(tool)" }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }

  /// Runs a tool to its end and reports the steps that `step` finds in its messages.
  private func run(
    _ tool: String, _ arguments: [String], environment: [String: String],
    step: (String) -> String?
  ) throws {
    guard let path = Self.path(of: tool) else {
      throw Failure(description: "\(tool) is missing")
    }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    var last: [String] = []
    var rest = Data()
    while true {
      let data = pipe.fileHandleForReading.availableData
      if data.isEmpty { break }
      rest += data
      while let end = rest.firstIndex(of: 10) {
        let line = String(decoding: rest[rest.startIndex..<end], as: UTF8.self)
        rest = rest[(end + 1)...]
        if let step = step(line) { say(step) }
        last = last.suffix(9) + [line]
      }
    }
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Failure(
        description: "\(tool) failed (status \(process.terminationStatus)):\n"
          + last.joined(separator: "\n"))
    }
  }
}
