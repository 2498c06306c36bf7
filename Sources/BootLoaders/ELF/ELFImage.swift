/// The headers of an x86 ELF executable, checked against the file (System V gABI, chapters 4 and 5).
struct ELFImage {
  struct Segment: Hashable {
    var physicalAddress: UInt64
    var virtualAddress: UInt64
    /// What the file holds of it.
    var fileRange: Range<Int>
    /// At least `fileRange.count`; the rest is zero.
    var memoryByteCount: UInt64
    var alignment: UInt64

    /// The address after the last byte in memory.
    var physicalEnd: UInt64 { physicalAddress + memoryByteCount }
  }

  private enum SegmentType {
    static let load: UInt32 = 1
    static let note: UInt32 = 4
  }

  /// More program headers than any kernel has: what a file can make us read stays bounded.
  private static let maximumSegmentCount = 128

  let is64Bit: Bool
  /// As the header has it: physical for Linux, virtual for some others.
  let entry: UInt64
  /// Loadable and not empty, ascending by physical address, without overlaps; at least one.
  let segments: [Segment]
  let notes: XenNotes

  var kind: BootImage.Kind {
    notes.physicalEntry == nil ? .elf(is64Bit: is64Bit) : .pvh(is64Bit: is64Bit)
  }

  /// The physical addresses from the first to the last byte of all segments.
  var span: Range<UInt64> {
    segments[0].physicalAddress..<(segments.map(\.physicalEnd).max() ?? 0)
  }

  /// The entry as a physical address: inside a segment by its physical or else its virtual addresses.
  var physicalEntry: UInt64? {
    for segment in segments
    where entry >= segment.physicalAddress && entry < segment.physicalEnd { return entry }
    for segment in segments where entry >= segment.virtualAddress {
      let offset = entry - segment.virtualAddress
      if offset < segment.memoryByteCount { return segment.physicalAddress + offset }
    }
    return nil
  }

  init(_ reader: ByteReader) throws(BootError) {
    let header = try Header(reader)
    guard header.segmentCount <= Self.maximumSegmentCount else {
      throw .damaged("its ELF header lists \(header.segmentCount) program headers")
    }
    is64Bit = header.is64Bit
    entry = header.entry
    var segments: [Segment] = []
    var notes = XenNotes()
    for index in 0..<UInt64(header.segmentCount) {
      let (type, segment) = try header.segment(index, in: reader)
      switch type {
      case SegmentType.load where segment.memoryByteCount > 0: segments.append(segment)
      case SegmentType.note:
        notes.read(reader, in: segment.fileRange, alignment: segment.alignment == 8 ? 8 : 4)
      default: continue
      }
    }
    segments.sort { $0.physicalAddress < $1.physicalAddress }
    guard !segments.isEmpty else { throw .damaged("its ELF header lists nothing to load") }
    for (a, b) in zip(segments, segments.dropFirst()) where a.physicalEnd > b.physicalAddress {
      throw .damaged("its ELF segments overlap at \(hex(b.physicalAddress))")
    }
    self.segments = segments
    self.notes = notes
  }
}

extension ELFImage {
  /// The fields of the file header that loading needs.
  private struct Header {
    let is64Bit: Bool
    let entry: UInt64
    let tableOffset: UInt64
    let entryByteCount: UInt64
    let segmentCount: UInt16

    init(_ reader: ByteReader) throws(BootError) {
      guard reader.count >= 64 else {
        throw .truncated(what: "the ELF header", needed: 64, available: reader.count)
      }
      let machine = reader.integer(UInt16.self, at: 18) ?? 0
      let type = reader.integer(UInt16.self, at: 16) ?? 0
      let isLittleEndian = reader.bytes[5] == 1
      switch (reader.bytes[4], machine) {
      case (1, 3) where isLittleEndian: is64Bit = false
      case (2, 62) where isLittleEndian: is64Bit = true
      default: throw .foreign(.foreignELF(machine: machine, type: type))
      }
      guard type == 2 || type == 3 else {
        throw .foreign(.foreignELF(machine: machine, type: type))
      }
      if is64Bit {
        entry = reader.integer(UInt64.self, at: 24) ?? 0
        tableOffset = reader.integer(UInt64.self, at: 32) ?? 0
        entryByteCount = UInt64(reader.integer(UInt16.self, at: 54) ?? 0)
        segmentCount = reader.integer(UInt16.self, at: 56) ?? 0
      } else {
        entry = UInt64(reader.integer(UInt32.self, at: 24) ?? 0)
        tableOffset = UInt64(reader.integer(UInt32.self, at: 28) ?? 0)
        entryByteCount = UInt64(reader.integer(UInt16.self, at: 42) ?? 0)
        segmentCount = reader.integer(UInt16.self, at: 44) ?? 0
      }
      guard entryByteCount >= (is64Bit ? 56 : 32) else {
        throw .damaged("its ELF program headers have \(entryByteCount) bytes each")
      }
    }

    func segment(
      _ index: UInt64, in reader: ByteReader
    ) throws(BootError) -> (type: UInt32, Segment) {
      let (start, overflow) = tableOffset.addingReportingOverflow(index * entryByteCount)
      guard !overflow, reader.indices(from: start, count: entryByteCount) != nil else {
        throw .truncated(
          what: "the ELF program header table", needed: start &+ entryByteCount,
          available: reader.count)
      }
      func field(_ offset32: UInt64, _ offset64: UInt64) -> UInt64 {
        is64Bit
          ? reader.integer(UInt64.self, at: start + offset64) ?? 0
          : UInt64(reader.integer(UInt32.self, at: start + offset32) ?? 0)
      }
      let type = reader.integer(UInt32.self, at: start) ?? 0
      let fileByteCount = field(16, 32)
      let memoryByteCount = field(20, 40)
      let physicalAddress = field(12, 24)
      guard type == SegmentType.load || type == SegmentType.note else {
        return (type, .none)
      }
      guard let fileRange = reader.indices(from: field(4, 8), count: fileByteCount) else {
        throw .truncated(
          what: "ELF segment \(index)", needed: field(4, 8) &+ fileByteCount,
          available: reader.count)
      }
      if type == SegmentType.load {
        guard fileByteCount <= memoryByteCount else {
          throw .damaged("ELF segment \(index) has more bytes in the file than in memory")
        }
        guard !physicalAddress.addingReportingOverflow(memoryByteCount).overflow else {
          throw .damaged("ELF segment \(index) reaches beyond the end of the address space")
        }
      }
      return (
        type,
        Segment(
          physicalAddress: physicalAddress, virtualAddress: field(8, 16), fileRange: fileRange,
          memoryByteCount: memoryByteCount, alignment: field(28, 48))
      )
    }
  }
}

extension ELFImage.Segment {
  /// Stands for a segment that loading does not look at.
  fileprivate static let none = ELFImage.Segment(
    physicalAddress: 0, virtualAddress: 0, fileRange: 0..<0, memoryByteCount: 0, alignment: 0)
}
