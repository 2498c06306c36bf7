import X86

/// A segment or gate descriptor as it stands in memory (SDM 3A 3.4.5, 3.5).
struct Descriptor {
  var low: UInt64
  /// The upper 8 bytes of a 16-byte system descriptor in IA-32e mode.
  var high: UInt64

  init(low: UInt64, high: UInt64 = 0) {
    self.low = low
    self.high = high
  }

  /// Type, 4 bits.
  var type: UInt8 { UInt8(truncatingIfNeeded: low >> 40) & 15 }
  /// S: code or data, not a system segment.
  var isCodeOrData: Bool { low & 1 << 44 != 0 }
  var privilegeLevel: UInt8 { UInt8(truncatingIfNeeded: low >> 45) & 3 }
  var isPresent: Bool { low & 1 << 47 != 0 }
  var isLong: Bool { low & 1 << 53 != 0 }
  var isBig: Bool { low & 1 << 54 != 0 }

  var isCode: Bool { isCodeOrData && type & 8 != 0 }
  var isConforming: Bool { type & 4 != 0 }
  var isReadableCode: Bool { isCode && type & 2 != 0 }
  var isWritableData: Bool { isCodeOrData && type & 0xA == 2 }

  var base: UInt64 {
    let low32 = (low >> 16) & 0xFF_FFFF | (low >> 32) & 0xFF00_0000
    return low32 | high << 32
  }

  var limit: UInt32 {
    let raw = UInt32(truncatingIfNeeded: low & 0xFFFF | (low >> 32) & 0xF_0000)
    return low & 1 << 55 != 0 ? raw << 12 | 0xFFF : raw
  }

  var attributes: UInt32 { UInt32(truncatingIfNeeded: low >> 40) & 0xF0FF }

  func segment(_ selector: UInt16) -> Segment {
    Segment(selector: selector, base: base, limit: limit, attributes: attributes)
  }

  // MARK: Gates

  var gateSelector: UInt16 { UInt16(truncatingIfNeeded: low >> 16) }
  var gateOffset: UInt64 { low & 0xFFFF | (low >> 32) & 0xFFFF_0000 | high << 32 }
  var gateParameterCount: UInt64 { (low >> 32) & 31 }
  var gateInterruptStack: Int { Int((low >> 32) & 7) }
}

/// Types of system descriptors.
enum SystemType {
  static let tss16: UInt8 = 1
  static let ldt: UInt8 = 2
  static let tss16Busy: UInt8 = 3
  static let callGate16: UInt8 = 4
  static let taskGate: UInt8 = 5
  static let interruptGate16: UInt8 = 6
  static let trapGate16: UInt8 = 7
  static let tss: UInt8 = 9
  static let tssBusy: UInt8 = 11
  static let callGate: UInt8 = 12
  static let interruptGate: UInt8 = 14
  static let trapGate: UInt8 = 15
}

extension CPU {
  /// The linear address of the descriptor a selector names; `nil` where it is beyond its table.
  func descriptorAddress(_ selector: UInt16, byteCount: UInt64 = 8) -> UInt64? {
    let offset = UInt64(selector & 0xFFF8)
    if selector & 4 != 0 {
      guard state.localTable.attributes & 1 << 16 == 0, state.localTable.selector & 0xFFFC != 0,
        offset + byteCount - 1 <= UInt64(state.localTable.limit)
      else { return nil }
      return state.localTable.base &+ offset
    }
    guard offset + byteCount - 1 <= UInt64(state.globalTableLimit) else { return nil }
    return state.globalTableBase &+ offset
  }

  /// Reads the descriptor a selector names. On failure #GP(selector), or `vector`, is recorded.
  func descriptor(
    _ selector: UInt16, orRaise vector: ExceptionVector = .generalProtection
  ) -> Descriptor? {
    guard let address = descriptorAddress(selector) else {
      raise(vector, UInt32(selector & 0xFFFC))
      return nil
    }
    guard let low = readSystem(address, 8) else { return nil }
    return Descriptor(low: low)
  }

  /// Reads a system descriptor, which has 16 bytes in IA-32e mode.
  func systemDescriptor(
    _ selector: UInt16, orRaise vector: ExceptionVector = .generalProtection
  ) -> Descriptor? {
    guard state.mode.isLong else { return descriptor(selector, orRaise: vector) }
    guard let address = descriptorAddress(selector, byteCount: 16) else {
      raise(vector, UInt32(selector & 0xFFFC))
      return nil
    }
    guard let low = readSystem(address, 8), let high = readSystem(address &+ 8, 8) else {
      return nil
    }
    return Descriptor(low: low, high: high & 0xFFFF_FFFF)
  }

  /// Sets type bits of a descriptor in memory: accessed, or busy.
  func setDescriptorBits(_ selector: UInt16, _ bits: UInt64) -> Bool {
    changeDescriptorBits(selector, set: bits, clear: 0)
  }

  func changeDescriptorBits(_ selector: UInt16, set: UInt64, clear: UInt64) -> Bool {
    guard let address = descriptorAddress(selector), let byte = readSystem(address &+ 5, 1) else {
      return false
    }
    return writeSystem(address &+ 5, 1, byte & ~(clear >> 40) | set >> 40)
  }

  static let accessedBit: UInt64 = 1 << 40
  static let busyBit: UInt64 = 1 << 41
}
