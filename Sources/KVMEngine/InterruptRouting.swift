private import CHost
private import EngineInterface
internal import MachineTypes
private import Synchronization

/// The I/O APIC's inputs as KVM must know them, so that it reports the EOI of a level-triggered vector
/// (`Documentation/virt/kvm/api.rst` 4.52, `KVM_EXIT_IOAPIC_EOI`). The interrupts themselves are sent
/// as messages.
final class InterruptRouting: Sendable {
  /// How many inputs the I/O APIC has.
  static let pinCount = 24

  private let machine: KVMFile
  private let routes = Mutex([InterruptMessage?](repeating: nil, count: pinCount))

  init(machine: KVMFile) { self.machine = machine }

  /// - Parameter message: what the pin would send; `nil` while it is masked.
  func set(_ pin: UInt8, to message: InterruptMessage?) {
    routes.withLock { routes in
      guard Int(pin) < routes.count, routes[Int(pin)] != message else { return }
      routes[Int(pin)] = message
      var words = Self.words(for: routes)
      // It fails only for want of memory; the guest then misses EOIs, and the I/O APIC stays silent.
      _ = try? machine.call(.setInterruptRouting, &words)
    }
  }

  private static func words(for routes: [InterruptMessage?]) -> [UInt32] {
    var words: [UInt32] = [0, 0]
    for (pin, message) in routes.enumerated() {
      guard let message else { continue }
      words[0] += 1
      words += [
        UInt32(pin), UInt32(KVM_IRQ_ROUTING_MSI), 0, 0,
        UInt32(truncatingIfNeeded: message.address),
        UInt32(truncatingIfNeeded: message.address >> 32),
        message.data, 0, 0, 0, 0, 0,
      ]
    }
    return words
  }
}
