package import Glibc

/// Runs of host memory in order, as one buffer for scattered transfers. What they are part of stays
/// alive as long as this value; what they hold may change at any time, like all guest memory.
@safe public struct MemorySegments: @unchecked Sendable {
  /// For system calls of this module and for `GuestMemory`.
  @unsafe package private(set) var vectors: [iovec]
  private let owner: any AnyObject & Sendable
  /// All runs together.
  public let byteCount: Int

  /// - Parameter owner: keeps the memory at its place.
  @unsafe package init(vectors: [iovec], owner: any AnyObject & Sendable) {
    unsafe self.vectors = vectors
    self.owner = owner
    byteCount = unsafe vectors.reduce(0) { unsafe $0 + $1.iov_len }
  }

  /// Zeroed memory of its own, for transfers that do not go to the guest.
  public init(zeroed byteCount: Int) {
    let buffer = HeapBuffer(byteCount: byteCount)
    unsafe self.init(
      vectors: [iovec(iov_base: buffer.start, iov_len: byteCount)], owner: buffer)
  }

  /// The parts one after the other, as one buffer.
  public init(joining parts: [MemorySegments]) {
    unsafe self.init(
      vectors: parts.flatMap { unsafe $0.vectors }, owner: Owners(parts.map(\.owner)))
  }

  public var runCount: Int { unsafe vectors.count }

  /// The `count` bytes from `offset` on; both within this buffer.
  public func slice(from offset: Int, count: Int) -> MemorySegments {
    precondition(offset >= 0 && count >= 0 && count <= byteCount - min(offset, byteCount))
    var result: [iovec] = unsafe []
    unsafe forEachRun(from: offset, count: count) { start, length, _ in
      unsafe result.append(iovec(iov_base: start, iov_len: length))
    }
    return unsafe MemorySegments(vectors: result, owner: owner)
  }

  /// The `count` bytes from `offset` on, as they are now.
  public func bytes(from offset: Int = 0, count: Int? = nil) -> [UInt8] {
    let count = count ?? byteCount - offset
    return unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      // SAFETY: the runs visited are `count` bytes together, as long as the buffer.
      unsafe forEachRun(from: offset, count: count) { start, length, position in
        unsafe UnsafeMutableRawPointer(buffer.baseAddress! + position)
          .copyMemory(from: start, byteCount: length)
      }
      initialized = count
    }
  }

  /// Copies `source` to the bytes from `offset` on, where it must fit.
  public func write(_ source: RawSpan, at offset: Int = 0) {
    unsafe source.withUnsafeBytes { bytes in
      // SAFETY: the runs visited are as many bytes together as the span has.
      unsafe forEachRun(from: offset, count: bytes.count) { start, length, position in
        unsafe start.copyMemory(from: bytes.baseAddress! + position, byteCount: length)
      }
    }
  }

  public func write(_ source: [UInt8], at offset: Int = 0) {
    unsafe write(source.span.bytes, at: offset)
  }

  /// Sets `count` bytes from `offset` on to zero.
  public func clear(from offset: Int, count: Int) {
    // SAFETY: `forEachRun` stays within the runs.
    unsafe forEachRun(from: offset, count: count) { start, length, _ in
      unsafe memset(start, 0, length)
    }
  }

  /// Visits the runs that hold `count` bytes from `offset` on; `position` counts from `offset`.
  @unsafe private func forEachRun(
    from offset: Int, count: Int,
    _ body: (_ start: UnsafeMutableRawPointer, _ length: Int, _ position: Int) -> Void
  ) {
    precondition(offset >= 0 && count >= 0 && count <= byteCount - min(offset, byteCount))
    var skip = offset
    var position = 0
    for index in unsafe vectors.indices where position < count {
      let vector = unsafe vectors[index]
      let length = unsafe vector.iov_len
      guard skip < length, let base = unsafe vector.iov_base else {
        skip -= length
        continue
      }
      let taken = min(length - skip, count - position)
      unsafe body(base + skip, taken, position)
      position += taken
      skip = 0
    }
  }
}

private final class Owners: Sendable {
  private let owners: [any AnyObject & Sendable]

  init(_ owners: [any AnyObject & Sendable]) { self.owners = owners }
}

@safe private final class HeapBuffer: @unchecked Sendable {
  let start: UnsafeMutableRawPointer

  init(byteCount: Int) {
    // SAFETY: owned by this object alone; sector-aligned for direct transfers.
    unsafe start = .allocate(byteCount: max(1, byteCount), alignment: 4096)
    unsafe memset(start, 0, byteCount)
  }

  deinit { unsafe start.deallocate() }
}
