internal import CHost
internal import EngineInterface
private import Glibc

/// `kvm_run` and the data behind it: where the kernel says why a virtual CPU stopped, and reads the
/// answer. Mapped, owned and unmapped here.
@safe struct KVMRunPage: ~Copyable, @unchecked Sendable {
  private let address: UnsafeMutableRawPointer
  private let byteCount: Int

  init(of processor: KVMFile, byteCount: Int) throws(EngineFailure) {
    let mapped = unsafe mmap(
      nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, processor.descriptor, 0)
    guard let address = unsafe mapped, unsafe address != MAP_FAILED else {
      throw .host(call: "mmap kvm_run", errno: errno)
    }
    // SAFETY: `mmap` returned `byteCount` bytes that this value alone owns.
    unsafe self.address = address
    self.byteCount = byteCount
  }

  deinit { unsafe munmap(address, byteCount) }

  /// The structure at the start of the page.
  var header: kvm_run {
    @inline(__always) unsafeAddress {
      // SAFETY: the kernel lays `kvm_run` out at the start of the mapping, which is page-aligned.
      unsafe UnsafePointer(address.assumingMemoryBound(to: kvm_run.self))
    }
    @inline(__always) nonmutating unsafeMutableAddress {
      // SAFETY: as above; only the thread that runs the virtual CPU writes it.
      unsafe address.assumingMemoryBound(to: kvm_run.self)
    }
  }

  /// Makes the kernel leave `KVM_RUN` at once. From any thread.
  func setImmediateExit(_ isWanted: Bool) {
    unsafe chost_kvm_set_immediate_exit(
      address.assumingMemoryBound(to: kvm_run.self), isWanted ? 1 : 0)
  }

  /// Reads up to 8 bytes of the page; 0 for what lies outside.
  func load(at offset: UInt64, byteCount count: Int) -> UInt64 {
    guard count <= 8, offset <= UInt64(byteCount - 8) else { return 0 }
    var value: UInt64 = 0
    // SAFETY: the 8 bytes at `offset` lie in the mapping, as just checked.
    unsafe withUnsafeMutableBytes(of: &value) {
      unsafe $0.baseAddress!.copyMemory(from: address + Int(offset), byteCount: count)
    }
    return value
  }

  /// Writes the low `count` bytes of `value`, 8 at most; nothing outside the page.
  func store(_ value: UInt64, at offset: UInt64, byteCount count: Int) {
    guard count <= 8, offset <= UInt64(byteCount - 8) else { return }
    // SAFETY: the 8 bytes at `offset` lie in the mapping, as just checked.
    unsafe withUnsafeBytes(of: value) {
      unsafe (address + Int(offset)).copyMemory(from: $0.baseAddress!, byteCount: count)
    }
  }
}
