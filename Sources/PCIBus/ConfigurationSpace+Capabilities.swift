/// The capabilities that functions have here (PCI 3.0 §6.7).
extension ConfigurationSpace {
  private enum Identifier {
    static let message: UInt8 = 0x05
    static let vendorSpecific: UInt8 = 0x09
    static let messageTable: UInt8 = 0x11
    static let advancedFeatures: UInt8 = 0x13
  }

  /// Registers of plain MSI with an address of 64 bits and a mask (§6.8.1).
  enum Message {
    static let control = 2
    static let address = 4
    static let data = 12
    static let mask = 16
    static let pending = 20
  }

  /// MSI-X, with the table and its pending bits in one region.
  mutating func addMessageTable(messageCount: Int, region: UInt8) -> Int {
    let last = UInt16(truncatingIfNeeded: messageCount - 1)
    let pendingBits = UInt8(PCIConnector.pendingBits >> 8)
    return addCapability(
      Identifier.messageTable,
      [
        UInt8(truncatingIfNeeded: last), UInt8(last >> 8), region, 0, 0, 0, region, pendingBits, 0,
        0,
      ],
      writable: [3: 0xC0])
  }

  /// Plain MSI with one message.
  mutating func addMessage() -> Int {
    // Control: 64-bit addresses, a mask.
    let offset = addCapability(
      Identifier.message, [0x80, 0x01] + [UInt8](repeating: 0, count: 20),
      writable: [Message.control: 0x01])
    allow32(offset + Message.address, ~3)
    allow32(offset + Message.address + 4, ~0)
    allow16(offset + Message.data, ~0)
    allow8(offset + Message.mask, 1)
    return offset
  }

  func message(at offset: Int) -> PCIConnector.WireMessage {
    PCIConnector.WireMessage(
      address: get64(offset + Message.address), data: UInt32(get16(offset + Message.data)),
      isEnabled: get16(offset + Message.control) & 1 != 0,
      isMasked: get8(offset + Message.mask) & 1 != 0)
  }

  /// Advanced features (Advanced Capabilities for Conventional PCI ECN): a reset of this function alone. Nothing is
  /// ever pending: a reset waits for transfers.
  mutating func addReset() -> Int {
    addCapability(Identifier.advancedFeatures, [6, 0x03, 0, 0])
  }

  /// Returns the window's offset, if one of them is one.
  mutating func addVendorCapabilities(_ capabilities: [PCIVendorCapability]) -> Int? {
    var window: Int?
    for capability in capabilities {
      var mask: [Int: UInt8] = [:]
      if capability.isWindow {
        mask[4] = 0xFF
        for byte in 8..<20 { mask[byte] = 0xFF }
      }
      let offset = addCapability(Identifier.vendorSpecific, capability.body, writable: mask)
      if capability.isWindow { window = offset }
    }
    return window
  }
}
