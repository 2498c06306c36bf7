private import CHost
internal import HostSystem
private import Synchronization

/// Which RAM holds code that an engine has decoded, in chunks of 64 bytes, and a version for each
/// page that rises when such a chunk is written.
///
/// An engine registers the bytes it decodes and remembers the version it got; code whose page has
/// another version now is stale. Every store, by a vCPU or a device, looks at its page's chunks
/// after storing and reports a hit. The store and that look are not ordered on x86 without a fence,
/// so the registering side makes every thread of the process pass one (membarrier) when it sets a
/// bit anew: it is the rare side.
@safe package final class CodeTracker: Sendable {
  package static let chunkSize: UInt64 = 64

  private let memory: SharedMapping
  private let lock = Mutex(())
  private let pageCount: Int
  private let usesBarrier: Bool

  /// One bit a chunk, one word a page of the RAM mapping. Hot: engines read it in place.
  package nonisolated(unsafe) let chunks: UnsafeMutablePointer<UInt64>
  /// One version a page.
  package nonisolated(unsafe) let versions: UnsafeMutablePointer<UInt32>

  init(pageCount: Int) throws(HostError) {
    self.pageCount = pageCount
    let size = (pageCount * 12 + 4095) & ~4095
    memory = try SharedMapping(name: "martlet-code-tracker", byteCount: size)
    // SAFETY: the mapping is zeroed, page-aligned, long enough for both arrays and lives as long.
    unsafe chunks = memory.baseAddress.bindMemory(to: UInt64.self, capacity: pageCount)
    unsafe versions = (memory.baseAddress + pageCount * 8)
      .bindMemory(to: UInt32.self, capacity: pageCount)
    usesBarrier = chost_membarrier_register() == 0
  }

  /// Marks decoded bytes, which lie in one page, and returns the page's version. Call it before
  /// reading the bytes.
  package func registerCode(mappingOffset: UInt64, byteCount: UInt64) -> UInt32 {
    let page = Int(mappingOffset >> 12)
    let mask = Self.chunkMask(mappingOffset & 4095, byteCount)
    return lock.withLock { _ in
      // SAFETY: the caller's offset lies in the RAM mapping, so `page` is in both arrays.
      let isNew = unsafe chost_or64(chunks + page, mask) & mask != mask
      if isNew, usesBarrier { chost_membarrier() }
      return unsafe versions[page]
    }
  }

  /// Reports a store that has been made.
  package func noteWrite(mappingOffset: UInt64, byteCount: UInt64) {
    var offset = mappingOffset
    let end = mappingOffset + byteCount
    while offset < end {
      let pageEnd = (offset | 4095) + 1
      let count = min(end, pageEnd) - offset
      let page = Int(offset >> 12)
      // SAFETY: the range lies in the RAM mapping.
      if unsafe chunks[page] & Self.chunkMask(offset & 4095, count) != 0 { invalidate(page: page) }
      offset = pageEnd
    }
  }

  /// Makes all decoded code of a page stale.
  package func invalidate(page: Int) {
    lock.withLock { _ in
      // SAFETY: callers pass pages of the RAM mapping.
      unsafe versions[page] &+= 1
      unsafe chunks[page] = 0
    }
  }

  /// The bits of the chunks that `byteCount` bytes at `pageOffset` touch; within one page.
  @inlinable
  package static func chunkMask(_ pageOffset: UInt64, _ byteCount: UInt64) -> UInt64 {
    let first = pageOffset >> 6
    let last = (pageOffset + byteCount - 1) >> 6
    return (~0 >> (63 - (last - first))) << first
  }
}
