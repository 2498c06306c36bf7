private import Glibc

/// Zeroed pages of no file, mapped readable and writable; in huge pages where the host has them.
@safe public struct AnonymousMapping: ~Copyable, @unchecked Sendable {
  private let bytes: UnsafeMutableRawBufferPointer

  /// What the host's huge pages are aligned to.
  private static let alignment = 2 << 20

  /// - Parameter byteCount: a multiple of the page size, more than 0.
  public init(byteCount: Int) throws(HostError) {
    let reserved = byteCount + Self.alignment
    let mapped = unsafe mmap(
      nil, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let address = unsafe mapped, unsafe address != MAP_FAILED else {
      throw .current("mmap")
    }
    // SAFETY: what lies before the first boundary and behind the last byte is given back.
    unsafe bytes = UnsafeMutableRawBufferPointer(
      start: address.alignedUp(toMultipleOf: Self.alignment), count: byteCount)
    let before = unsafe bytes.baseAddress! - address
    if before > 0 { unsafe munmap(address, before) }
    unsafe munmap(bytes.baseAddress! + byteCount, reserved - before - byteCount)
    // A host without huge pages says so; small ones do as well.
    _ = unsafe madvise(bytes.baseAddress, byteCount, MADV_HUGEPAGE)
  }

  public var byteCount: Int { unsafe bytes.count }

  /// Valid while this value lives.
  @unsafe public var baseAddress: UnsafeMutableRawPointer { unsafe bytes.baseAddress! }

  /// Gives whole pages back to the host; they read as zeroes afterwards, and take memory again when they are used.
  ///
  /// - Parameters:
  ///   - offset: of the first page; a multiple of 4,096, like `count`. Both within the mapping.
  public func discard(offset: Int, count: Int) {
    precondition(offset >= 0 && count >= 0 && offset <= byteCount && count <= byteCount - offset)
    precondition(offset % 4096 == 0 && count % 4096 == 0)
    // SAFETY: the range lies in the mapping, which nobody else owns.
    if unsafe madvise(bytes.baseAddress! + offset, count, MADV_DONTNEED) != 0 {
      // Memory that is locked stays; its contents do not.
      unsafe memset(bytes.baseAddress! + offset, 0, count)
    }
  }

  deinit { unsafe munmap(bytes.baseAddress, bytes.count) }
}
