public import DeviceModel
public import MachineTypes
import Synchronization

/// The attached 8259 pair as an engine wants to see it: INTR as a cheap level, and the INTA cycle.
public final class LegacyInterruptController: Sendable {
  public let device: AttachedDevice<PIC8259Pair>
  private let pin: OutputPin

  /// - Parameter levelChanged: called with INTR's new level, under the pair's lock: may kick a CPU,
  ///   must not come back here.
  public init(levelChanged: @escaping @Sendable (Bool) -> Void) {
    let pin = OutputPin(levelChanged: levelChanged)
    self.pin = pin
    device = AttachedDevice(PIC8259Pair(output: pin))
  }

  /// The level of INTR.
  public var isInterruptRequested: Bool { pin.level.load(ordering: .acquiring) }

  public func acknowledge() -> InterruptVector { device.withDevice { $0.acknowledge() } }

  /// The wire to input `number`, 0…15.
  public func line(_ number: UInt8) -> any InterruptLine {
    InputLine(device: device, number: number)
  }

  private final class OutputPin: InterruptLine {
    let level = Atomic<Bool>(false)
    let levelChanged: @Sendable (Bool) -> Void

    init(levelChanged: @escaping @Sendable (Bool) -> Void) { self.levelChanged = levelChanged }

    func set(_ isAsserted: Bool) {
      let before = level.exchange(isAsserted, ordering: .acquiringAndReleasing)
      if before != isAsserted { levelChanged(isAsserted) }
    }
  }

  private struct InputLine: InterruptLine {
    let device: AttachedDevice<PIC8259Pair>
    let number: UInt8
    func set(_ isAsserted: Bool) { device.withDevice { $0.setInput(number, isAsserted) } }
  }
}
