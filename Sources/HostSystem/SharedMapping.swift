private import CHost
private import Glibc

/// Zeroed pages of a memfd, mapped readable and writable; they can be mapped again elsewhere.
@safe public struct SharedMapping: ~Copyable, @unchecked Sendable {
  private let bytes: UnsafeMutableRawBufferPointer
  public let fileDescriptor: Int32

  /// - Parameter byteCount: a multiple of the page size, more than 0.
  public init(name: String, byteCount: Int) throws(HostError) {
    let file = unsafe chost_memfd(name)
    guard file >= 0 else { throw .current("memfd_create") }
    guard ftruncate(file, byteCount) == 0 else {
      let error = HostError.current("ftruncate")
      close(file)
      throw error
    }
    let mapped = unsafe mmap(
      nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0)
    guard let address = unsafe mapped, unsafe address != MAP_FAILED else {
      let error = HostError.current("mmap")
      close(file)
      throw error
    }
    fileDescriptor = file
    // SAFETY: `mmap` returned `byteCount` readable and writable bytes owned by this value alone.
    unsafe bytes = UnsafeMutableRawBufferPointer(start: address, count: byteCount)
  }

  public var byteCount: Int { unsafe bytes.count }

  /// Valid while this value lives.
  @unsafe public var baseAddress: UnsafeMutableRawPointer { unsafe bytes.baseAddress! }

  deinit {
    unsafe munmap(bytes.baseAddress, bytes.count)
    close(fileDescriptor)
  }
}
