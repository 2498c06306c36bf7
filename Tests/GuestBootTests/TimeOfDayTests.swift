import Foundation
import Martlet
import Testing

extension GuestBootTests {
  /// A guest that was paused finds the host's time of day through KVM's pairing of clocks.
  @Test(
    .enabled(
      if: Guest.cloudAmd64.isPresent && GuestProgram.canCompile,
      "needs the guests (Scripts/fetch-guests.sh) and a C compiler"))
  func `ptp_kvm tells the host's time of day after a pause`() async throws {
    let program = try GuestProgram.compile("ptp.c")
    defer { program.remove() }
    let console = MemorySerialPortAttachment()
    var configuration = VirtualMachineConfiguration()
    configuration.bootLoader = LinuxBootLoader(
      kernelURL: Guest.cloudAmd64.kernel,
      initialRamdiskURL: try program.initialRamdisk(adding: ["ptp_kvm"]),
      commandLine: "console=ttyS0 panic=-1 martlet.script=program martlet.modules=ptp_kvm")
    configuration.engine = .software
    configuration.serialPorts = [SerialPortConfiguration(attachment: console)]
    let machine = try VirtualMachine(configuration: configuration)
    try await machine.start()
    #expect(await console.waits(for: "martlet: waiting"), "\(console.text.suffix(2000))")
    try await machine.pause()
    try await Task.sleep(for: .seconds(3))
    try await machine.resume()
    console.type("go on\n")
    #expect(await machine.waitUntilStopped() == .poweredOff)
    let now = Date().timeIntervalSince1970
    let times = console.text.split(whereSeparator: \.isNewline).filter { $0.contains("martlet:") }
      .compactMap { line -> (host: Double, guest: Double)? in
        let words = line.split(separator: " ")
        guard let place = words.firstIndex(of: "host"), place + 3 < words.count,
          let host = Double(words[place + 1]), let guest = Double(words[place + 3])
        else { return nil }
        return (host, guest)
      }
    try #require(times.count == 2, "\(console.text.suffix(2000))")
    #expect(abs(times[1].host - now) < 10)
    let before = times[0].host - times[0].guest
    let after = times[1].host - times[1].guest
    #expect((2.9...4.5).contains(after - before), "\(before) \(after)")
  }
}
