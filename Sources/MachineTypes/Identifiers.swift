/// The vector number of an interrupt or exception, 0…255.
public struct InterruptVector: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt8

  @inlinable
  public init(rawValue: UInt8) { self.rawValue = rawValue }
}

/// The position of a virtual CPU in its machine, from 0; also its initial local APIC id.
public struct VirtualCPUIndex: RawRepresentable, Hashable, Sendable {
  public let rawValue: UInt32

  @inlinable
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The processor that starts the machine.
  public static let bootstrap = VirtualCPUIndex(rawValue: 0)
}

/// A message-signalled interrupt as it travels to the local APICs (SDM 3A 11.11).
public struct InterruptMessage: Hashable, Sendable {
  /// 0xFEExxxxx: destination id in bits 19:12, redirection hint, destination mode.
  public var address: UInt64
  /// Vector in bits 7:0, delivery mode in 10:8, level in 14, trigger mode in 15.
  public var data: UInt32

  public init(address: UInt64, data: UInt32) {
    self.address = address
    self.data = data
  }
}
