import Foundation
import Martlet

/// One boot of a guest, from power-on to its end.
struct GuestSession {
  var reason: ExitReason
  var log: String

  /// - Parameters:
  ///   - typing: drives the console while the guest runs.
  ///   - steering: drives the machine while the guest runs.
  ///   - change: has the last word on the machine.
  static func run(
    _ guest: Guest, script: String, cpuCount: Int, interface: HypervisorInterface = .kvm,
    initialRamdisk: URL? = nil, kernelAddress: UInt64? = nil,
    disks: [VirtioBlockDeviceConfiguration] = [], options: String = "",
    typing: @escaping @Sendable (MemorySerialPortAttachment) async -> Void = { _ in },
    steering:
      @escaping @Sendable (VirtualMachine, MemorySerialPortAttachment) async throws -> Void =
      { _, _ in },
    change: (inout VirtualMachineConfiguration) -> Void = { _ in }
  ) async throws -> GuestSession {
    let console = MemorySerialPortAttachment()
    var configuration = VirtualMachineConfiguration()
    configuration.bootLoader = LinuxBootLoader(
      kernelURL: guest.kernel, initialRamdiskURL: initialRamdisk ?? guest.initialRamdisk,
      commandLine: "console=ttyS0 panic=-1 martlet.script=\(script) \(options)"
        + (kernelAddress == nil ? "" : " nokaslr"),
      kernelAddress: kernelAddress)
    configuration.cpuCount = cpuCount
    configuration.memorySize = 512 << 20
    configuration.storageDevices = disks
    configuration.engine = .software
    configuration.hypervisorInterface = interface
    configuration.serialPorts = [SerialPortConfiguration(attachment: console)]
    change(&configuration)
    let machine = try VirtualMachine(configuration: configuration)
    try await machine.start()
    async let typist: Void = typing(console)
    async let driver: Void = steering(machine, console)
    let reason = await machine.waitUntilStopped()
    await typist
    try await driver
    return GuestSession(reason: reason, log: console.text)
  }

  /// Lines of the kernel's log that a healthy machine does not cause.
  var complaints: [String] {
    let patterns = [
      "WARNING:", "BUG:", "unchecked MSR", "Marking clocksource",
      "clocksource: timekeeping watchdog",
      "lost interrupt", "spurious", "Kernel panic", "Oops", "soft lockup", "rcu: INFO",
      "general protection", "Call Trace", "not responding", "failed to start", "IO-APIC + timer",
      "MP-BIOS bug",
    ]
    return log.split(whereSeparator: \.isNewline).map(String.init).filter { line in
      patterns.contains { line.contains($0) }
    }
  }
}
