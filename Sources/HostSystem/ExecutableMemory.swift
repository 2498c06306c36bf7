private import CHost
private import Glibc

/// Memory for generated machine code, mapped twice: writable at one address, executable at another.
///
/// No address is ever writable and executable at once. Pages are taken as they are first written.
@safe public final class ExecutableMemory {
  public let byteCount: Int
  @unsafe public let writable: UnsafeMutableRawPointer
  @unsafe public let executable: UnsafeRawPointer

  /// - Throws: `HostError` where the host has no memory or allows no executable mappings.
  public init(byteCount: Int) throws(HostError) {
    self.byteCount = byteCount
    let file = unsafe chost_memfd("martlet-code")
    guard file >= 0 else { throw .current("memfd_create") }
    defer { close(file) }
    guard ftruncate(file, byteCount) == 0 else { throw .current("ftruncate") }
    // SAFETY: both calls ask for fresh addresses; this object owns what they return.
    let data = unsafe mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
    guard let data = unsafe data, unsafe data != MAP_FAILED else { throw .current("mmap") }
    let code = unsafe mmap(nil, byteCount, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0)
    guard let code = unsafe code, unsafe code != MAP_FAILED else {
      let error = HostError.current("mmap")
      unsafe munmap(data, byteCount)
      throw error
    }
    unsafe writable = data
    unsafe executable = UnsafeRawPointer(code)
  }

  deinit {
    // SAFETY: the mappings of `init`, which nobody uses any more.
    unsafe munmap(writable, byteCount)
    unsafe munmap(UnsafeMutableRawPointer(mutating: executable), byteCount)
  }
}
