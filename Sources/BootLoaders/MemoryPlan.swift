import FirmwareTables
import GuestMemory
import MachineTypes

/// Which memory a boot has given away already, and what is left.
struct MemoryPlan {
  let memory: GuestRAM
  private let usable: [Range<UInt64>]
  private var taken: [Range<UInt64>] = [0..<BootLayout.lowestKernel]
  private(set) var placements: [LoadedGuest.Placement] = []

  init(memory: GuestRAM, map: MemoryMap) {
    self.memory = memory
    // What the map calls RAM and is not would let a guest read nothing: only the common part counts.
    let ram = memory.regions.map { $0.start.rawValue..<$0.end }
    usable = map.usable.flatMap { range in
      ram.map { $0.clamped(to: range) }.filter { !$0.isEmpty }
    }
  }

  func isUsable(_ range: Range<UInt64>) -> Bool {
    usable.contains { $0.lowerBound <= range.lowerBound && range.upperBound <= $0.upperBound }
  }

  /// Keeps later placements out of `range`.
  mutating func reserve(_ range: Range<UInt64>) {
    if !range.isEmpty { taken.append(range) }
  }

  mutating func write(_ name: String, _ bytes: [UInt8], at address: UInt64) throws(BootError) {
    try write(name, bytes, bytes.indices, at: address)
  }

  /// Copies a part of `bytes` and notes it.
  mutating func write(
    _ name: String, _ bytes: [UInt8], _ part: Range<Int>, at address: UInt64
  ) throws(BootError) {
    do {
      let source = part == bytes.indices ? bytes : Array(bytes[part])
      try memory.write(source, at: GuestPhysicalAddress(address))
    } catch {
      throw .memory(error)
    }
    note(name, address: address, byteCount: UInt64(part.count))
  }

  mutating func clear(_ address: UInt64, byteCount: UInt64) throws(BootError) {
    guard byteCount > 0 else { return }
    do {
      try memory.clear(GuestPhysicalAddress(address), byteCount: byteCount)
    } catch {
      throw .memory(error)
    }
  }

  mutating func note(_ name: String, address: UInt64, byteCount: UInt64) {
    placements.append(
      LoadedGuest.Placement(
        name: name, address: GuestPhysicalAddress(address), byteCount: byteCount))
  }

  /// The highest page-aligned address in `window` with `byteCount` free bytes.
  func highestAddress(for byteCount: UInt64, in window: Range<UInt64>) -> UInt64? {
    let page = GuestRAM.pageSize
    for gap in gaps(in: window).reversed() where gap.upperBound - gap.lowerBound >= byteCount {
      let address = (gap.upperBound - byteCount) & ~(page - 1)
      if address >= gap.lowerBound { return address }
    }
    return nil
  }

  /// The size of the largest free run in `window`.
  func largestGap(in window: Range<UInt64>) -> UInt64 {
    gaps(in: window).map { $0.upperBound - $0.lowerBound }.max() ?? 0
  }

  /// The free runs in `window`, ascending.
  private func gaps(in window: Range<UInt64>) -> [Range<UInt64>] {
    var gaps: [Range<UInt64>] = []
    let obstacles = taken.sorted { $0.lowerBound < $1.lowerBound }
    for range in usable {
      var cursor = max(range.lowerBound, window.lowerBound)
      let end = min(range.upperBound, window.upperBound)
      for obstacle in obstacles where obstacle.upperBound > cursor && obstacle.lowerBound < end {
        if obstacle.lowerBound > cursor { gaps.append(cursor..<obstacle.lowerBound) }
        cursor = max(cursor, obstacle.upperBound)
      }
      if cursor < end { gaps.append(cursor..<end) }
    }
    return gaps
  }
}
