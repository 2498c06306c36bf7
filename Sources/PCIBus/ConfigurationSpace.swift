import DeviceModel
import MachineTypes

/// What identifies a function.
public struct PCIIdentity: Hashable, Sendable {
  public var vendor: UInt16
  public var device: UInt16
  public var revision: UInt8
  /// Base class, subclass and programming interface, from bit 23 down.
  public var classCode: UInt32
  public var subsystemVendor: UInt16
  public var subsystem: UInt16

  public init(
    vendor: UInt16, device: UInt16, revision: UInt8 = 0, classCode: UInt32,
    subsystemVendor: UInt16 = 0, subsystem: UInt16 = 0
  ) {
    self.vendor = vendor
    self.device = device
    self.revision = revision
    self.classCode = classCode
    self.subsystemVendor = subsystemVendor
    self.subsystem = subsystem
  }
}

/// The 256 registers of a function with a type 0 header (PCI 3.0 §6.1), or of a bridge, whose header is of type 1. Which
/// bits a guest may change is a mask beside them.
struct ConfigurationSpace: Sendable {
  enum Register {
    static let command = 0x04
    static let status = 0x06
    static let headerType = 0x0E
    static let firstBaseAddress = 0x10
    static let capabilities = 0x34
    static let interruptLine = 0x3C
    static let interruptPin = 0x3D
  }

  /// Bits of COMMAND.
  enum Command {
    static let memorySpace: UInt16 = 1 << 1
    static let busMaster: UInt16 = 1 << 2
    static let interruptDisable: UInt16 = 1 << 10
    /// Parity error response and SERR# can be set, and do nothing.
    static let writable: UInt16 = memorySpace | busMaster | 1 << 6 | 1 << 8 | interruptDisable
  }

  /// STATUS: a capability list; an interrupt waits.
  private static let hasCapabilities: UInt16 = 1 << 4
  static let interruptStatus: UInt16 = 1 << 3
  /// A base address of 64 bits (PCI 3.0 §6.2.5.1).
  private static let isWideAddress: UInt8 = 1 << 2
  /// HEADER TYPE: the device has more functions than this one.
  static let isMultifunction: UInt8 = 1 << 7

  private var bytes: [UInt8]
  private var writable: [UInt8]
  /// Where the next capability goes.
  private var end = 0x40
  private var lastLink = Register.capabilities

  /// A space with a type 0 header.
  init(_ identity: PCIIdentity) {
    self.init(header: identity)
    set16(0x2C, identity.subsystemVendor)
    set16(0x2E, identity.subsystem)
  }

  /// What both types of header have in common.
  init(header identity: PCIIdentity) {
    bytes = [UInt8](repeating: 0, count: 256)
    writable = bytes
    set16(0x00, identity.vendor)
    set16(0x02, identity.device)
    set32(0x08, identity.classCode << 8 | UInt32(identity.revision))
    allow16(Register.command, Command.writable)
    writable[Register.interruptLine] = 0xFF
  }

  // MARK: Access by the guest

  /// - Parameter offset: aligned to `width`, below 256.
  func read(_ offset: Int, _ width: AccessWidth) -> UInt32 {
    var value: UInt32 = 0
    for byte in (0..<min(4, width.byteCount)).reversed() {
      value = value << 8 | UInt32(bytes[(offset + byte) & 0xFF])
    }
    return value
  }

  mutating func write(_ value: UInt32, _ offset: Int, _ width: AccessWidth) {
    for byte in 0..<min(4, width.byteCount) {
      let index = (offset + byte) & 0xFF
      let new = UInt8(truncatingIfNeeded: value >> UInt32(8 * byte))
      bytes[index] = bytes[index] & ~writable[index] | new & writable[index]
    }
  }

  // MARK: Access by the function

  func get16(_ offset: Int) -> UInt16 { UInt16(truncatingIfNeeded: read(offset, .word)) }
  func get32(_ offset: Int) -> UInt32 { read(offset, .doubleword) }

  mutating func set16(_ offset: Int, _ value: UInt16) {
    bytes[offset] = UInt8(truncatingIfNeeded: value)
    bytes[offset + 1] = UInt8(value >> 8)
  }

  mutating func set32(_ offset: Int, _ value: UInt32) {
    set16(offset, UInt16(truncatingIfNeeded: value))
    set16(offset + 2, UInt16(value >> 16))
  }

  mutating func set8(_ offset: Int, _ value: UInt8) { bytes[offset] = value }

  mutating func allow16(_ offset: Int, _ mask: UInt16) {
    writable[offset] = UInt8(truncatingIfNeeded: mask)
    writable[offset + 1] = UInt8(mask >> 8)
  }

  mutating func allow32(_ offset: Int, _ mask: UInt32) {
    allow16(offset, UInt16(truncatingIfNeeded: mask))
    allow16(offset + 2, UInt16(mask >> 16))
  }

  func get64(_ offset: Int) -> UInt64 { UInt64(get32(offset + 4)) << 32 | UInt64(get32(offset)) }
  func get8(_ offset: Int) -> UInt8 { bytes[offset] }

  mutating func allow8(_ offset: Int, _ mask: UInt8) { writable[offset] = mask }

  /// A memory BAR of `byteCount` bytes, a power of two from 16 on. One of 64 bits takes the next number too.
  mutating func addBaseAddress(_ number: Int, byteCount: UInt32, isWide: Bool = false) {
    let register = Register.firstBaseAddress + 4 * number
    allow32(register, ~(byteCount - 1))
    guard isWide else { return }
    set8(register, Self.isWideAddress)
    allow32(register + 4, ~0)
  }

  /// Links a capability; `body` starts behind the two bytes of the header. Returns its offset.
  mutating func addCapability(
    _ identifier: UInt8, _ body: [UInt8], writable mask: [Int: UInt8] = [:]
  ) -> Int {
    let offset = end
    precondition(offset + 2 + body.count <= 256)
    bytes[lastLink] = UInt8(offset)
    lastLink = offset + 1
    bytes[offset] = identifier
    for (index, byte) in body.enumerated() { bytes[offset + 2 + index] = byte }
    for (index, bits) in mask { writable[offset + index] = bits }
    end = (offset + 2 + body.count + 3) & ~3
    set16(Register.status, get16(Register.status) | Self.hasCapabilities)
    return offset
  }
}
