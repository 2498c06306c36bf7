import Bits

/// The ELF notes of the owner "Xen" that concern PVH (xen/include/public/elfnote.h).
struct XenNotes: Hashable {
  /// XEN_ELFNOTE_PHYS32_RELOC: where the kernel may be moved to.
  struct Relocation: Hashable {
    /// `nil` where the note leaves it to the program headers.
    var alignment: UInt64?
    var minimum: UInt64
    /// Highest address of the last byte.
    var maximum: UInt64
  }

  private enum NoteType {
    static let physicalEntry: UInt32 = 18
    static let physicalRelocation: UInt32 = 19
  }

  /// XEN_ELFNOTE_PHYS32_ENTRY: the physical address of the 32-bit entry point.
  private(set) var physicalEntry: UInt64?
  private(set) var relocation: Relocation?

  /// How many more notes are read: far more than kernels have, so that a file cannot keep us busy.
  private var budget = 4096

  init() {}

  /// Reads the notes in a PT_NOTE segment; what is malformed ends the reading.
  mutating func read(_ reader: ByteReader, in range: Range<Int>, alignment: UInt64) {
    var offset = UInt64(range.lowerBound)
    let end = UInt64(range.upperBound)
    while end - offset >= 12, budget > 0 {
      budget -= 1
      guard let nameCount = reader.integer(UInt32.self, at: offset),
        let contentCount = reader.integer(UInt32.self, at: offset + 4),
        let type = reader.integer(UInt32.self, at: offset + 8),
        let nameEnd = (UInt64(nameCount) + 12).alignedUp(to: alignment)
      else { return }
      let content = offset + nameEnd
      guard content <= end, UInt64(contentCount) <= end - content else { return }
      if nameCount == 4, reader.hasPrefix(Array("Xen\0".utf8), at: Int(offset + 12)) {
        take(reader, type: type, content: content, count: UInt64(contentCount))
      }
      guard let next = (content + UInt64(contentCount)).alignedUp(to: alignment), next <= end
      else { return }
      offset = next
    }
  }

  private mutating func take(_ reader: ByteReader, type: UInt32, content: UInt64, count: UInt64) {
    func number(_ index: UInt64) -> UInt64? {
      guard count >= 4 * (index + 1) else { return nil }
      return reader.integer(UInt32.self, at: content + 4 * index).map { UInt64($0) }
    }
    switch type {
    case NoteType.physicalEntry:
      // The numeric type has 4 or 8 bytes.
      physicalEntry = count >= 8 ? reader.integer(UInt64.self, at: content) : number(0)
    case NoteType.physicalRelocation:
      relocation = Relocation(
        alignment: number(0).flatMap { $0 == 0 ? nil : $0 }, minimum: number(1) ?? 0,
        maximum: number(2) ?? 0xFFFF_FFFF)
    default: return
    }
  }
}
