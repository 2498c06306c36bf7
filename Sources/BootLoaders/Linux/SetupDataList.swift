/// The linked list of `struct setup_data`: next (8 bytes), type (4), length (4), data.
enum SetupDataList {
  private static let headerByteCount = 16

  /// The list's bytes, to be placed at `address`; empty without nodes.
  static func bytes(_ nodes: [SetupDataNode], at address: UInt64) -> [UInt8] {
    var result: [UInt8] = []
    for (index, node) in nodes.enumerated() {
      let padding = (8 - node.bytes.count % 8) % 8
      let byteCount = headerByteCount + node.bytes.count + padding
      let isLast = index == nodes.count - 1
      let next = isLast ? 0 : address + UInt64(result.count + byteCount)
      result += littleEndian(next)
      result += littleEndian(node.type)
      result += littleEndian(UInt32(truncatingIfNeeded: node.bytes.count))
      result += node.bytes
      result += [UInt8](repeating: 0, count: padding)
    }
    return result
  }
}

func littleEndian<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
  (0..<MemoryLayout<T>.size).map { UInt8(truncatingIfNeeded: value >> T(8 * $0)) }
}
