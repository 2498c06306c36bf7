import MachineTypes
import Synchronization

/// What connects the local APICs with each other and with the I/O APICs.
final class APICBus: Sendable {
  private let apics = Mutex<[LocalAPIC]>([])

  func attach(_ apic: LocalAPIC) { apics.withLock { $0.append(apic) } }

  private var all: [LocalAPIC] { apics.withLock { $0 } }

  /// A message-signalled interrupt (SDM 3A 11.11).
  func deliver(_ message: InterruptMessage) {
    let destination = UInt32(truncatingIfNeeded: message.address >> 12) & 0xFF
    let isLogical = message.address & 4 != 0
    let mode = UInt8(truncatingIfNeeded: message.data >> 8) & 7
    let isLevel = message.data & 1 << 15 != 0
    route(
      destination, isLogical: isLogical, isX2APIC: false, mode: mode,
      vector: UInt8(truncatingIfNeeded: message.data), isLevel: isLevel,
      isLowestPriority: mode == 1)
  }

  /// An interprocessor interrupt by the ICR (SDM 3A 11.6.1).
  func send(_ command: UInt64, from sender: LocalAPIC, isX2APIC: Bool) {
    let vector = UInt8(truncatingIfNeeded: command)
    let mode = UInt8(truncatingIfNeeded: command >> 8) & 7
    let isLevel = command & 1 << 15 != 0
    // INIT level de-assert synchronises arbitration ids, which no longer exist.
    if mode == 5, isLevel, command & 1 << 14 == 0 { return }
    switch command >> 18 & 3 {
    case 1: sender.accept(mode: mode, vector: vector, isLevel: isLevel)
    case 2:
      for apic in all { apic.accept(mode: mode, vector: vector, isLevel: isLevel) }
    case 3:
      for apic in all where apic !== sender {
        apic.accept(mode: mode, vector: vector, isLevel: isLevel)
      }
    default:
      let destination =
        isX2APIC
        ? UInt32(truncatingIfNeeded: command >> 32) : UInt32(truncatingIfNeeded: command >> 56)
      route(
        destination, isLogical: command & 1 << 11 != 0, isX2APIC: isX2APIC, mode: mode,
        vector: vector, isLevel: isLevel, isLowestPriority: mode == 1)
    }
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
      // Deterministic: the lowest processor priority, then the lowest index.
      let ranked = targets.map { ($0.state.withLock { $0.processorPriority }, $0) }
      guard let best = ranked.min(by: { $0.0 < $1.0 })?.1 else { return }
      best.accept(mode: 0, vector: vector, isLevel: isLevel)
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
