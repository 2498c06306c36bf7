/// Page tables that map physical memory to itself with 2 MiB pages, for the 64-bit entry: the first
/// 4 GiB and whatever else the kernel touches before it has its own.
struct IdentityPageTables {
  private static let entriesPerTable = 512
  private static let presentWritable: UInt64 = 0b11
  private static let largePage: UInt64 = 1 << 7
  private static let gibibyte: UInt64 = 1 << 30

  /// Tables of 512 entries; the first is the PML4.
  private var tables: [[UInt64]] = [[UInt64](repeating: 0, count: entriesPerTable)]
  private let base: UInt64

  /// - Parameter ranges: what to map beyond the first 4 GiB; below 2^47.
  init(base: UInt64, also ranges: [Range<UInt64>]) {
    self.base = base
    for gibibyte in 0..<UInt64(4) { map(gibibyte: gibibyte) }
    for range in ranges where !range.isEmpty {
      for number in (range.lowerBound >> 30)...((range.upperBound - 1) >> 30) {
        map(gibibyte: number)
      }
    }
  }

  var byteCount: UInt64 { UInt64(tables.count) * 4096 }

  var bytes: [UInt8] {
    tables.joined().flatMap { entry in
      (0..<8).map { UInt8(truncatingIfNeeded: entry >> (8 * $0)) }
    }
  }

  private mutating func map(gibibyte number: UInt64) {
    let pointers = child(of: 0, index: Int(number >> 9) & 511)
    let index = Int(number & 511)
    guard tables[pointers][index] == 0 else { return }
    let directory = child(of: pointers, index: index)
    for page in 0..<Self.entriesPerTable {
      let address = number << 30 | UInt64(page) << 21
      tables[directory][page] = address | Self.largePage | Self.presentWritable
    }
  }

  /// The number of the table that entry `index` of `table` points to, made when it is not there.
  private mutating func child(of table: Int, index: Int) -> Int {
    let entry = tables[table][index]
    if entry != 0 { return Int((entry & ~0xFFF) - base) >> 12 }
    tables.append([UInt64](repeating: 0, count: Self.entriesPerTable))
    let number = tables.count - 1
    tables[table][index] = (base + UInt64(number) << 12) | Self.presentWritable
    return number
  }
}
