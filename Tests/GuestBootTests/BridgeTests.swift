import Foundation
import Martlet
import Testing

extension GuestBootTests {
  /// More than bus 0 has slots for; the last lie behind a bridge.
  private static let diskCount = 40

  @Test(
    .enabled(if: Guest.allArePresent, "no guests in the cache: run Scripts/fetch-guests.sh"),
    arguments: [
      (Guest.cloudAmd64, "pci=resource_alignment=21@00:0d.0"), (.cloudAmd64, "pci=nomsi"),
      (.i686, ""),
    ])
  func `forty disks answer on bus 0 and behind a bridge, also after resets`(
    guest: Guest, options: String
  ) async throws {
    let ramdisk = try GuestProgram.initialRamdisk(of: guest, adding: Self.diskModules)
    let directory = FileManager.default.temporaryDirectory
      .appending(path: "martlet-bridges-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer {
      try? FileManager.default.removeItem(at: ramdisk)
      try? FileManager.default.removeItem(at: directory)
    }
    let disks = try (0..<Self.diskCount).map { number in
      let image = directory.appending(path: "\(number).img")
      try (Data("contents-\(number + 10)".utf8) + Data(count: 1 << 16)).prefix(1 << 16)
        .write(to: image)
      return VirtioBlockDeviceConfiguration(imageURL: image, serialNumber: "disk-\(number)")
    }
    let session = try await GuestSession.run(
      guest, script: "bridges", cpuCount: 2, initialRamdisk: ramdisk, disks: disks,
      options: options)
    #expect(session.reason == .poweredOff, "\(session.log.suffix(2000))")
    #expect(session.complaints == [])
    for number in 0..<Self.diskCount {
      // Slots 13 to 30 of bus 0, then from slot 0 on of bus 1.
      let place = number < 18 ? (0, 13 + number) : (1, number - 18)
      let slot = (place.1 < 16 ? "0" : "") + String(place.1, radix: 16)
      for time in ["boot", "reset"] {
        let line =
          "martlet: \(time): disk-\(number) at 0000:0\(place.0):\(slot).0 says contents-\(number + 10)"
        #expect(session.log.contains(line), "\(session.log.suffix(6000))")
      }
    }
    #expect(session.log.contains("martlet: resets by af_flr"))
    #expect(session.log.contains("martlet: a function was reset"))
    #expect(session.log.contains("martlet: left 18"))
    if options.contains("resource_alignment") {
      // Linux puts registers that it may place where it likes above 4 GiB.
      #expect(session.log.contains("martlet: registers at 0x00000001"))
    }
  }
}
