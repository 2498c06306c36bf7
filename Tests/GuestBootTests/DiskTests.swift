import Foundation
import Martlet
import Testing

extension GuestBootTests {
  static let diskModules = Guest.virtioModules + ["virtio_mmio", "virtio_blk", "virtio-rng"]

  @Test(
    .enabled(if: Guest.allArePresent, "no guests in the cache: run Scripts/fetch-guests.sh"),
    arguments: [
      (Guest.cloudAmd64, "", VirtioTransport.pci), (.cloudAmd64, "pci=nomsi", .pci),
      (.cloudAmd64, "", .mmio), (.i686, "", .pci), (.i686, "pci=off", .mmio),
    ])
  func `Debian's drivers find the disks and the entropy device`(
    guest: Guest, options: String, transport: VirtioTransport
  ) async throws {
    let ramdisk = try GuestProgram.initialRamdisk(of: guest, adding: Self.diskModules)
    let directory = FileManager.default.temporaryDirectory
      .appending(path: "martlet-disks-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer {
      try? FileManager.default.removeItem(at: ramdisk)
      try? FileManager.default.removeItem(at: directory)
    }
    let first = directory.appending(path: "first.img")
    let second = directory.appending(path: "second.img")
    try (Data("martlet-hello".utf8) + Data(count: 16 << 20)).prefix(16 << 20).write(to: first)
    let contents = Data((0..<4 << 20).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) })
    try contents.write(to: second)
    let session = try await GuestSession.run(
      guest, script: "disks", cpuCount: 2, initialRamdisk: ramdisk,
      disks: [
        VirtioBlockDeviceConfiguration(imageURL: first, serialNumber: "first"),
        VirtioBlockDeviceConfiguration(imageURL: second, isReadOnly: true),
      ], options: options, change: { $0.virtioTransport = transport })
    #expect(session.reason == .poweredOff, "\(session.log.suffix(2000))")
    #expect(session.complaints == [])
    #expect(session.log.contains("martlet: vda 32768 sectors, serial first, read-only 0"))
    #expect(session.log.contains("martlet: vdb 8192 sectors, serial martlet-disk-1, read-only 1"))
    #expect(session.log.contains("martlet: vda starts with martlet-hello"))
    #expect(!session.log.contains("martlet: vdb was written to"))
    #expect(session.log.contains("martlet: random virtio_rng.0 16"))
    // The guest copied one disk to the other, 1 MiB in.
    let copy = try Data(contentsOf: first)
    #expect(copy.count == 16 << 20)
    #expect(copy.dropFirst(1 << 20).prefix(4 << 20) == contents)
    #expect(try Data(contentsOf: second) == contents)
  }

  @Test(.enabled(if: Guest.allArePresent, "no guests in the cache: run Scripts/fetch-guests.sh"))
  func `a disk grows while its guest runs`() async throws {
    let ramdisk = try GuestProgram.initialRamdisk(of: .cloudAmd64, adding: Self.diskModules)
    let image = FileManager.default.temporaryDirectory
      .appending(path: "martlet-\(UUID().uuidString).img")
    try Data(count: 4 << 20).write(to: image)
    defer {
      try? FileManager.default.removeItem(at: ramdisk)
      try? FileManager.default.removeItem(at: image)
    }
    let session = try await GuestSession.run(
      .cloudAmd64, script: "resize", cpuCount: 1, initialRamdisk: ramdisk,
      disks: [VirtioBlockDeviceConfiguration(imageURL: image)],
      steering: { machine, console in
        for _ in 0..<600 where !console.text.contains("vda has 8192 sectors") {
          try await Task.sleep(for: .milliseconds(100))
        }
        let file = try FileHandle(forWritingTo: image)
        try file.seek(toOffset: (8 << 20) - 512)
        try file.write(contentsOf: Data("grown".utf8) + Data(count: 507))
        try file.close()
        #expect(try machine.refreshSize(ofStorageDevice: 0) == 8 << 20)
        #expect(throws: VirtualMachineError.self) { try machine.refreshSize(ofStorageDevice: 1) }
      })
    #expect(session.reason == .poweredOff, "\(session.log.suffix(2000))")
    #expect(session.log.contains("martlet: vda now has 16384 sectors and ends with grown"))
  }
}
