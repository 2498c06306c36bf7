import DiskImages
import Foundation
import Martlet
import Testing

extension GuestBootTests {
  @Test(
    .enabled(if: Guest.allArePresent, "no guests in the cache: run Scripts/fetch-guests.sh"))
  func `a guest copies a disk to a qcow2 image over another, and neither loses anything`()
    async throws
  {
    let guest = Guest.cloudAmd64
    let modules = [
      "virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci",
      "virtio_blk", "virtio-rng",
    ]
    let ramdisk = try GuestProgram.initialRamdisk(of: guest, adding: modules)
    let directory = FileManager.default.temporaryDirectory
      .appending(path: "martlet-qcow2-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer {
      try? FileManager.default.removeItem(at: ramdisk)
      try? FileManager.default.removeItem(at: directory)
    }
    func path(_ name: String) -> String { directory.appending(path: name).path }
    let base = (Data("martlet-hello".utf8) + Data(count: 16 << 20)).prefix(16 << 20)
    let contents = Data((0..<4 << 20).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) })
    try base.write(to: directory.appending(path: "base.img"))
    try contents.write(to: directory.appending(path: "second.img"))
    var options = ImageOptions(format: .qcow2)
    options.backingFile = "base.img"
    try DiskImage.create(path: path("first.qcow2"), options)
    options.backingFile = nil
    try DiskImage.convert(
      from: path("second.img"), to: path("second.qcow2"), options, isCompressed: true)
    let session = try await GuestSession.run(
      guest, script: "disks", cpuCount: 2, initialRamdisk: ramdisk,
      disks: [
        VirtioBlockDeviceConfiguration(imageURL: directory.appending(path: "first.qcow2")),
        VirtioBlockDeviceConfiguration(
          imageURL: directory.appending(path: "second.qcow2"), format: "qcow2", isReadOnly: true),
      ])
    #expect(session.reason == .poweredOff, "\(session.log.suffix(2000))")
    #expect(session.complaints == [])
    #expect(session.log.contains("martlet: vda starts with martlet-hello"))
    let report = try DiskImage.check(path: path("first.qcow2"))
    #expect(report.corruptions == 0 && report.leaks == 0, "\(report.findings)")
    try DiskImage.convert(
      from: path("first.qcow2"), to: path("result.img"), ImageOptions(format: .raw))
    let copy = try Data(contentsOf: directory.appending(path: "result.img"))
    #expect(copy.count == 16 << 20)
    #expect(copy.dropFirst(1 << 20).prefix(4 << 20) == contents)
    #expect(try Data(contentsOf: directory.appending(path: "base.img")) == base)
  }
}
