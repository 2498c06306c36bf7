import Foundation
import Martlet
import Testing

extension GuestBootTests {
  private static let modules = Guest.virtioModules + ["virtio_balloon"]

  /// The guest fills 200 MiB and frees them; then it is to keep 200 MiB of 512, and gets them back in the end.
  @Test(
    .enabled(
      if: Guest.cloudAmd64.isPresent, "no guests in the cache: run Scripts/fetch-guests.sh"),
    arguments: [false, true])
  func `memory goes to the host and back by the balloon`(reportsFreePages: Bool) async throws {
    let ramdisk = try GuestProgram.initialRamdisk(of: .cloudAmd64, adding: Self.modules)
    defer { try? FileManager.default.removeItem(at: ramdisk) }
    let console = MemorySerialPortAttachment()
    var configuration = VirtualMachineConfiguration()
    configuration.bootLoader = LinuxBootLoader(
      kernelURL: Guest.cloudAmd64.kernel, initialRamdiskURL: ramdisk,
      commandLine: "console=ttyS0 panic=-1 martlet.script=memory martlet.modules="
        + Self.modules.joined(separator: ","))
    configuration.cpuCount = 2
    configuration.engine = .software
    configuration.memoryBalloonDevices = [
      VirtioMemoryBalloonDeviceConfiguration(
        statisticsInterval: .milliseconds(100), deflatesOnOutOfMemory: false,
        reportsFreePages: reportsFreePages)
    ]
    configuration.serialPorts = [SerialPortConfiguration(attachment: console)]
    let machine = try VirtualMachine(configuration: configuration)
    try await machine.start()
    defer { Task { try await machine.stop() } }
    #expect(await console.waits(for: "martlet: filled and freed"), "\(console.text.suffix(2000))")
    if reportsFreePages {
      // Linux reports what has been free for two seconds.
      let reported = await machine.statistics { $0.reportedFree >= 150 << 20 }
      #expect(reported != nil)
    }
    let before = residentByteCount()
    try machine.setTargetMemorySize(200 << 20)
    let inflated = await machine.statistics { $0.balloon == 312 << 20 }
    #expect(inflated != nil, "\(String(describing: machine.memoryStatistics))")
    let small = await machine.statistics { ($0.total ?? .max) < 200 << 20 }
    #expect(small?.available != nil)
    if !reportsFreePages { #expect(before - residentByteCount() > 150 << 20) }
    #expect(throws: ConfigurationError.self) { try machine.setTargetMemorySize(513 << 20) }
    try machine.setTargetMemorySize(512 << 20)
    let deflated = await machine.statistics { $0.balloon == 0 && ($0.total ?? 0) > 400 << 20 }
    #expect(deflated != nil)
    console.type("\n")
    let reason = await machine.waitUntilStopped()
    #expect(reason == .poweredOff, "\(console.text.suffix(2000))")
    // What it was given back it can use.
    #expect(console.text.contains("martlet: filled again"))
    #expect(machine.memoryStatistics == nil)
    #expect(GuestSession(reason: reason, log: console.text).complaints == [])
  }

  /// What this process has in memory of mappings that are large enough to hold the guest's RAM: other tests come and go.
  private func residentByteCount() -> Int {
    var isLarge = false
    var count = 0
    // `String(contentsOfFile:)` stops after the first piece that the kernel gives.
    let maps = try? FileHandle(forReadingAtPath: "/proc/self/smaps")?.readToEnd()
    for line in String(decoding: maps ?? Data(), as: UTF8.self).split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count == 3, let kibibytes = Int(words[1]) else { continue }
      if words[0] == "Size:" { isLarge = kibibytes >= 400 << 10 }
      if words[0] == "Rss:", isLarge { count += kibibytes << 10 }
    }
    return count
  }
}

extension VirtualMachine {
  /// The memory statistics once they are as wanted; `nil` if that takes more than a minute.
  fileprivate func statistics(_ isWanted: (MemoryStatistics) -> Bool) async -> MemoryStatistics? {
    for _ in 0..<600 {
      if let statistics = memoryStatistics, isWanted(statistics) { return statistics }
      try? await Task.sleep(for: .milliseconds(100))
    }
    return nil
  }
}
