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

  /// A vCPU that keeps code linked together, and must hear of pages that were rewritten.
  ///
  /// `@unchecked Sendable`: three words that any thread may set.
  @safe package struct Listener: @unchecked Sendable {
    package let attention: UnsafeMutablePointer<UInt32>
    package let attentionBit: UInt32
    /// Set to 0 after `attention`.
    package let running: UnsafeMutablePointer<UInt32>
    package let jumpMask: UnsafeMutablePointer<UInt64>

    package init(
      attention: UnsafeMutablePointer<UInt32>, attentionBit: UInt32,
      running: UnsafeMutablePointer<UInt32>, jumpMask: UnsafeMutablePointer<UInt64>
    ) {
      unsafe self.attention = attention
      self.attentionBit = attentionBit
      unsafe self.running = running
      unsafe self.jumpMask = jumpMask
    }
  }

  private struct State {
    var listeners: [Listener] = []
    /// The last pages that were invalidated, by number modulo the capacity.
    var pages: [UInt32] = []
    var count: UInt64 = 0
  }
  private static let historyCapacity = 1024

  private let memory: SharedMapping
  private let lock = Mutex(State())
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
    lock.withLock { state in
      // SAFETY: callers pass pages of the RAM mapping.
      unsafe versions[page] &+= 1
      unsafe chunks[page] = 0
      guard !state.listeners.isEmpty else { return }
      if state.pages.count < Self.historyCapacity {
        state.pages.append(UInt32(page))
      } else {
        state.pages[Int(state.count % UInt64(Self.historyCapacity))] = UInt32(page)
      }
      state.count += 1
      for listener in state.listeners {
        // SAFETY: listeners are removed before their memory goes.
        _ = unsafe chost_or32(listener.attention, listener.attentionBit)
        unsafe listener.running.pointee = 0
        unsafe listener.jumpMask.pointee = 0
      }
    }
  }

  package func add(_ listener: Listener) { lock.withLock { $0.listeners.append(listener) } }

  package func remove(_ attention: UnsafeMutablePointer<UInt32>) {
    let address = UInt(bitPattern: attention)
    lock.withLock { $0.listeners.removeAll { unsafe UInt(bitPattern: $0.attention) == address } }
  }

  /// The pages invalidated since the count `seen`, which is brought up to date; `nil` when there were too
  /// many to remember.
  package func invalidations(since seen: inout UInt64) -> [UInt32]? {
    lock.withLock { state in
      let first = seen
      seen = state.count
      guard state.count - first <= UInt64(Self.historyCapacity) else { return nil }
      return (first..<state.count).map { state.pages[Int($0 % UInt64(Self.historyCapacity))] }
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
