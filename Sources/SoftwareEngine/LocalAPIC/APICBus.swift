import MachineTypes
import Synchronization

/// What connects the local APICs with each other and with the I/O APICs.
final class APICBus: Sendable {
  private let apics = Mutex<[LocalAPIC]>([])

  func attach(_ apic: LocalAPIC) { apics.withLock { $0.append(apic) } }

  private var all: [LocalAPIC] { apics.withLock { $0 } }

  /// A message-signalled interrupt (SDM 3A 11.11).
  func deliver(_ message: InterruptMessage) {
    let mode = UInt8(truncatingIfNeeded: message.data >> 8) & 7
    let isLogical = message.address & 1 << 2 != 0
    // The redirection hint lets a logical destination take the interrupt at its lowest priority.
    let isRedirectable = message.address & 1 << 3 != 0 && isLogical
    route(
      UInt32(truncatingIfNeeded: message.address >> 12) & 0xFF, isLogical: isLogical,
      isX2APIC: false, mode: mode, vector: UInt8(truncatingIfNeeded: message.data),
      isLevel: message.data & 1 << 15 != 0,
      isLowestPriority: mode == 1 || isRedirectable && mode == 0)
  }

  /// An interprocessor interrupt by the ICR (SDM 3A 11.6.1). All but INIT are edge-triggered.
  func send(_ command: UInt64, from sender: LocalAPIC, isX2APIC: Bool) {
    let vector = UInt8(truncatingIfNeeded: command)
    let mode = UInt8(truncatingIfNeeded: command >> 8) & 7
    // INIT level de-assert synchronises arbitration ids, which no longer exist.
    if mode == 5, command & 1 << 15 != 0, command & 1 << 14 == 0 { return }
    if mode <= 1, vector < 16 { return sender.note(.sentIllegalVector) }
    switch command >> 18 & 3 {
    case 1: sender.accept(mode: mode, vector: vector, isLevel: false)
    case 2:
      for apic in all { apic.accept(mode: mode, vector: vector, isLevel: false) }
    case 3:
      for apic in all where apic !== sender {
        apic.accept(mode: mode, vector: vector, isLevel: false)
      }
    default:
      let destination =
        isX2APIC
        ? UInt32(truncatingIfNeeded: command >> 32) : UInt32(truncatingIfNeeded: command >> 56)
      route(
        destination, isLogical: command & 1 << 11 != 0, isX2APIC: isX2APIC, mode: mode,
        vector: vector, isLevel: false, isLowestPriority: mode == 1)
    }
  }

  /// The x2APIC register SELF IPI (SDM 3A 11.12.11).
  func sendToSelf(vector: UInt8, from sender: LocalAPIC) {
    if vector < 16 { return sender.note(.sentIllegalVector) }
    sender.accept(mode: 0, vector: vector, isLevel: false)
  }

  /// LINT1 of every CPU: NMI as the guest programmed it.
  func raiseLINT1() {
    for apic in all { apic.raiseLocal(.lint1) }
  }

  private func route(
    _ destination: UInt32, isLogical: Bool, isX2APIC: Bool, mode: UInt8, vector: UInt8,
    isLevel: Bool, isLowestPriority: Bool
  ) {
    let targets = all.filter {
      $0.matches(destination, isLogical: isLogical, isX2APICMessage: isX2APIC)
    }
    if isLowestPriority {
      // Deterministic: the lowest processor priority among those that are enabled, then the lowest index.
      var best: (priority: UInt8, apic: LocalAPIC)?
      for apic in targets {
        let priority = apic.state.withLock { $0.isSoftwareEnabled ? $0.processorPriority : nil }
        guard let priority, best.map({ priority < $0.priority }) ?? true else { continue }
        best = (priority, apic)
      }
      best?.apic.accept(mode: 0, vector: vector, isLevel: isLevel)
    } else {
      for apic in targets { apic.accept(mode: mode, vector: vector, isLevel: isLevel) }
    }
  }
}

extension LocalAPIC {
  /// Whether a message is for this APIC (SDM 3A 11.6.2).
  func matches(_ destination: UInt32, isLogical: Bool, isX2APICMessage: Bool) -> Bool {
    state.withLock { state in
      guard state.base & 1 << 11 != 0 else { return false }
      let broadcast: UInt32 = isX2APICMessage ? 0xFFFF_FFFF : 0xFF
      if destination == broadcast { return true }
      guard isLogical else { return destination == state.id }
      if state.isX2APIC {
        let logical = (state.id >> 4) << 16 | 1 << (state.id & 15)
        if !isX2APICMessage { return destination & logical & 0xFF != 0 && logical >> 16 == 0 }
        return destination >> 16 == logical >> 16 && destination & logical & 0xFFFF != 0
      }
      let logical = state.logicalDestination >> 24
      if state.destinationFormat >> 28 == 0xF { return destination & logical != 0 }
      return destination >> 4 == logical >> 4 && destination & logical & 15 != 0
    }
  }
}
