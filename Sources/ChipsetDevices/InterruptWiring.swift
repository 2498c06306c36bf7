import DeviceModel
import MachineTypes
import Synchronization

/// An ISA interrupt: one wire to the 8259 pair and to the I/O APIC.
struct ISAInterruptLine: InterruptLine {
  let legacy: any InterruptLine
  let ioAPIC: any InterruptLine

  func set(_ isAsserted: Bool) {
    legacy.set(isAsserted)
    ioAPIC.set(isAsserted)
  }
}

struct IOAPICInputLine: InterruptLine {
  let ioAPIC: AttachedDevice<IOAPIC>
  let pin: UInt8

  func set(_ isAsserted: Bool) { ioAPIC.withDevice { $0.setInput(pin, isAsserted) } }
}

/// Whether the HPET stands in for PIT and RTC (legacy replacement).
final class LegacyReplacement: Sendable {
  private let isActive = Atomic<Bool>(false)

  func set(_ isActive: Bool) { self.isActive.store(isActive, ordering: .releasing) }

  /// `line` as PIT and RTC see it: cut off while they are replaced.
  func replaced(_ line: any InterruptLine) -> any InterruptLine {
    ReplacedLine(replacement: self, line: line)
  }

  private struct ReplacedLine: InterruptLine {
    let replacement: LegacyReplacement
    let line: any InterruptLine

    func set(_ isAsserted: Bool) {
      guard !replacement.isActive.load(ordering: .acquiring) else { return }
      line.set(isAsserted)
    }
  }
}
