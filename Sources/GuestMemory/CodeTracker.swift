private import CHost
internal import HostSystem
private import Synchronization

/// Which RAM holds code that an engine has decoded, in chunks of 64 bytes, and a version for each
/// page that rises when such a chunk is written.
///
/// An engine registers the bytes it decodes and remembers the version it got; code whose page has
/// another version now is stale. A device's store looks at its page's chunks after storing, with a fence in between, and
/// reports a hit.
///
/// vCPUs spare their stores that look: their TLBs let no store through to a page with code. When a page gets its
/// first code, every other vCPU that executes guest code must close its TLB's way to the page before the
/// code is read (a *closing*, as a TLB shootdown).
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
    /// 1 while the vCPU executes guest code. It looks for closings when it sets this.
    package let inside: UnsafeMutablePointer<UInt32>
    /// How many closings it has carried out.
    package let closed: UnsafeMutablePointer<UInt64>

    package init(
      attention: UnsafeMutablePointer<UInt32>, attentionBit: UInt32,
      running: UnsafeMutablePointer<UInt32>, jumpMask: UnsafeMutablePointer<UInt64>,
      inside: UnsafeMutablePointer<UInt32>, closed: UnsafeMutablePointer<UInt64>
    ) {
      unsafe self.inside = inside
      unsafe self.closed = closed
      unsafe self.attention = attention
      self.attentionBit = attentionBit
      unsafe self.running = running
      unsafe self.jumpMask = jumpMask
    }

    fileprivate func notify() {
      // SAFETY: listeners are removed before their memory goes.
      _ = unsafe chost_or32(attention, attentionBit)
      unsafe running.pointee = 0
      unsafe jumpMask.pointee = 0
    }
  }

  /// What became of a registration.
  package struct Registration {
    /// The page's version.
    package var version: UInt32
    /// The closing that must be over before the code is read; 0 for none.
    package var closing: UInt64
  }

  private struct State {
    var listeners: [Listener] = []
    /// The last pages that were invalidated, by number modulo the capacity.
    var pages: [UInt32] = []
    var count: UInt64 = 0
    /// The same of closings, and how many are known to be over everywhere.
    var closings: [UInt32] = []
    var closingCount: UInt64 = 0
    var completedClosings: UInt64 = 0
  }
  private static let historyCapacity = 1024

  private let memory: SharedMapping
  private let lock = Mutex(State())
  private let pageCount: Int

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
  }

  /// Marks bytes to be decoded, which lie in one page. Call it, and wait for the closing that it names, before
  /// reading the bytes.
  ///
  /// - Parameter attention: the calling vCPU's, which has its listener's word.
  package func registerCode(
    mappingOffset: UInt64, byteCount: UInt64, by attention: UnsafeMutablePointer<UInt32>
  ) -> Registration {
    let page = Int(mappingOffset >> 12)
    let mask = Self.chunkMask(mappingOffset & 4095, byteCount)
    return lock.withLock { state in
      // SAFETY: the caller's offset lies in the RAM mapping, so `page` is in both arrays.
      let old = unsafe chost_or64(chunks + page, mask)
      if old == 0, state.listeners.count > 1 {
        Self.append(UInt32(page), to: &state.closings, &state.closingCount)
        for listener in state.listeners where unsafe listener.attention != attention {
          listener.notify()
        }
      }
      // Another vCPU's closing of this very page may be under way.
      let isOver = state.completedClosings == state.closingCount
      return unsafe Registration(version: versions[page], closing: isOver ? 0 : state.closingCount)
    }
  }

  /// Whether all vCPUs but the caller have carried out a closing, or execute no guest code.
  package func isOver(closing: UInt64, for attention: UnsafeMutablePointer<UInt32>) -> Bool {
    lock.withLock { state in
      for listener in state.listeners where unsafe listener.attention != attention {
        // SAFETY: listeners are removed before their memory goes. A vCPU that comes in from here on looks itself.
        if unsafe chost_or32(listener.inside, 0) != 0,
          unsafe chost_or64(listener.closed, 0) < closing
        {
          return false
        }
      }
      state.completedClosings = max(state.completedClosings, closing)
      return true
    }
  }

  /// The pages to close since the count `seen`, and the count now; no pages when there were too many to remember.
  package func closings(since seen: UInt64) -> (pages: [UInt32]?, count: UInt64) {
    lock.withLock { state in
      (Self.items(state.closings, state.closingCount, since: seen), state.closingCount)
    }
  }

  private static func append(_ page: UInt32, to history: inout [UInt32], _ count: inout UInt64) {
    if history.count < historyCapacity {
      history.append(page)
    } else {
      history[Int(count % UInt64(historyCapacity))] = page
    }
    count += 1
  }

  private static func items(_ history: [UInt32], _ count: UInt64, since first: UInt64) -> [UInt32]?
  {
    guard count - first <= UInt64(historyCapacity) else { return nil }
    return (first..<count).map { history[Int($0 % UInt64(historyCapacity))] }
  }

  /// Reports a store that has been made.
  package func noteWrite(mappingOffset: UInt64, byteCount: UInt64) {
    chost_fence()
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
      Self.append(UInt32(page), to: &state.pages, &state.count)
      for listener in state.listeners { listener.notify() }
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
      return Self.items(state.pages, state.count, since: first)
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
