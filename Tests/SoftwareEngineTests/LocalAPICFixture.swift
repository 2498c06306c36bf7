import MachineTypes
import MartletTesting
import Synchronization

@testable import SoftwareEngine

/// A machine's local APICs on a clock that stands still, software-enabled, with a count of their wakes.
struct APICFixture {
  let clock = FakeClock()
  let bus = APICBus()
  let apics: [LocalAPIC]
  let wakes: [WakeCount]

  final class WakeCount: Sendable {
    let value = Atomic<Int>(0)
    var count: Int { value.load(ordering: .relaxed) }
  }

  init(count: Int = 1, isEnabled: Bool = true) {
    let (clock, bus) = (clock, bus)
    apics = (0..<UInt32(count)).map {
      LocalAPIC(index: VirtualCPUIndex(rawValue: $0), clock: clock, bus: bus)
    }
    wakes = apics.map { apic in
      let wake = WakeCount()
      apic.setWake { wake.value.add(1, ordering: .relaxed) }
      return wake
    }
    guard isEnabled else { return }
    for apic in apics { _ = apic.write(Register.spurious, 0x1FF) }
  }

  var apic: LocalAPIC { apics[0] }

  /// Puts all APICs into x2APIC mode.
  func enterX2APIC() {
    for apic in apics { _ = apic.writeMSR(0x1B, (apic.readMSR(0x1B) ?? 0) | 0x400) }
  }

  /// A message with a vector, to an 8-bit destination.
  func deliver(
    _ vector: UInt8, to destination: UInt8, isLogical: Bool = false, mode: UInt32 = 0,
    isLevel: Bool = false, hasRedirectionHint: Bool = false
  ) {
    bus.deliver(
      InterruptMessage(
        address: 0xFEE0_0000 | UInt64(destination) << 12 | (hasRedirectionHint ? 8 : 0)
          | (isLogical ? 4 : 0),
        data: UInt32(vector) | mode << 8 | (isLevel ? 0xC000 : 0)))
  }

  /// The indices of the APICs that have a vector to deliver, which they then take and finish.
  func receivers(of vector: UInt8) -> [Int] {
    apics.indices.filter { index in
      guard apics[index].deliverableVector() == vector else { return false }
      apics[index].acknowledge(vector)
      _ = apics[index].endOfInterrupt()
      return true
    }
  }
}

/// Offsets in the register page (SDM 3A table 11-1).
enum Register {
  static let id: UInt32 = 0x20
  static let version: UInt32 = 0x30
  static let taskPriority: UInt32 = 0x80
  static let processorPriority: UInt32 = 0xA0
  static let endOfInterrupt: UInt32 = 0xB0
  static let logicalDestination: UInt32 = 0xD0
  static let destinationFormat: UInt32 = 0xE0
  static let spurious: UInt32 = 0xF0
  static let inService: UInt32 = 0x100
  static let triggerMode: UInt32 = 0x180
  static let requested: UInt32 = 0x200
  static let errorStatus: UInt32 = 0x280
  static let commandLow: UInt32 = 0x300
  static let commandHigh: UInt32 = 0x310
  static let timerVector: UInt32 = 0x320
  static let thermalVector: UInt32 = 0x330
  static let performanceVector: UInt32 = 0x340
  static let lint0: UInt32 = 0x350
  static let lint1: UInt32 = 0x360
  static let errorVector: UInt32 = 0x370
  static let initialCount: UInt32 = 0x380
  static let currentCount: UInt32 = 0x390
  static let divideConfiguration: UInt32 = 0x3E0
}
