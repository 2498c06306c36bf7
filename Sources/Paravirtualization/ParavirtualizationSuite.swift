public import DeviceModel
public import MachineTypes
public import X86

/// The interfaces that a machine offers side by side, at CPUID bases 0x40000000, 0x40000100, …; Linux takes
/// the last it knows.
public struct ParavirtualizationSuite: Sendable {
  private static let firstBase: UInt32 = 0x4000_0000
  private static let baseDistance: UInt32 = 0x100
  /// `-KVM_ENOSYS`, which all guests take for "no such call".
  private static let unknownCall = UInt64(bitPattern: -1000)

  private var interfaces: [any ParavirtualInterface]

  public init(_ interfaces: [any ParavirtualInterface]) { self.interfaces = interfaces }

  public var isEmpty: Bool { interfaces.isEmpty }

  /// All MSRs that an engine is to hand over.
  public var msrs: [ClosedRange<UInt32>] { interfaces.flatMap(\.msrs) }

  /// The hypervisor leaves.
  public var leaves: [CPUIDEntry] {
    var entries: [CPUIDEntry] = []
    for (position, interface) in interfaces.enumerated() {
      let base = Self.firstBase + UInt32(position) * Self.baseDistance
      let words = Self.words(interface.signature)
      entries.append(
        CPUIDEntry(
          leaf: base, eax: base + interface.leafCount - 1, ebx: words.0, ecx: words.1,
          edx: words.2))
      for offset in 1..<max(interface.leafCount, 2) {
        guard var entry = interface.leaf(offset) else { continue }
        entry.leaf = base + offset
        entries.append(entry)
      }
    }
    return entries
  }

  public mutating func readMSR(
    _ index: MSRIndex, on processor: VirtualCPUIndex
  ) -> MSROutcome {
    for position in interfaces.indices {
      let outcome = interfaces[position].readMSR(index, on: processor)
      if outcome != .notHandled { return outcome }
    }
    return .notHandled
  }

  public mutating func writeMSR(
    _ index: MSRIndex, _ value: UInt64, on processor: VirtualCPUIndex
  ) -> MSROutcome {
    for position in interfaces.indices {
      let outcome = interfaces[position].writeMSR(index, value, on: processor)
      if outcome != .notHandled { return outcome }
    }
    return .notHandled
  }

  /// What RAX becomes.
  public mutating func hypercall(
    number: UInt64, arguments: [UInt64], privilegeLevel: UInt8
  ) -> UInt64 {
    for position in interfaces.indices {
      if let value = interfaces[position].hypercall(
        number: number, arguments: arguments, privilegeLevel: privilegeLevel)
      {
        return value
      }
    }
    return Self.unknownCall
  }

  public mutating func reset() {
    for position in interfaces.indices { interfaces[position].reset() }
  }

  // MARK: Saved state

  /// What one interface holds.
  public struct SavedInterface: Hashable, Codable, Sendable {
    public var signature: String
    public var registers: [ParavirtualRegister]

    public init(signature: String, registers: [ParavirtualRegister]) {
      self.signature = signature
      self.registers = registers
    }
  }

  public func save() -> [SavedInterface] {
    interfaces.map { SavedInterface(signature: $0.signature, registers: $0.save()) }
  }

  /// On an error the suite stays as it was.
  public mutating func restore(_ saved: [SavedInterface]) throws(RestoreError) {
    guard saved.map(\.signature) == interfaces.map(\.signature) else {
      throw RestoreError(
        device: "hypervisor interfaces", reason: "it was saved with other interfaces")
    }
    var restored = interfaces
    for position in restored.indices {
      try restored[position].restore(saved[position].registers)
    }
    interfaces = restored
  }

  /// A signature's 12 bytes as three little-endian words; what is missing is zero.
  private static func words(_ text: String) -> (UInt32, UInt32, UInt32) {
    var words: [UInt32] = [0, 0, 0]
    for (index, byte) in text.utf8.prefix(12).enumerated() {
      words[index / 4] |= UInt32(byte) << (8 * UInt32(index % 4))
    }
    return (words[0], words[1], words[2])
  }
}
