private import CHost
internal import EngineInterface
private import Glibc

/// A file of KVM: the device, a virtual machine or a virtual CPU.
final class KVMFile: Sendable {
  let descriptor: Int32

  /// Takes ownership of an open file.
  init(owning descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  /// Opens `/dev/kvm`.
  static func openDevice() throws(EngineFailure) -> KVMFile {
    let report = KVMHost.probe()
    guard report.isUsable else { throw .unavailable(reason: report.description) }
    let file = unsafe open("/dev/kvm", O_RDWR | O_CLOEXEC)
    guard file >= 0 else { throw .host(call: "open /dev/kvm", errno: errno) }
    return KVMFile(owning: file)
  }

  /// Makes a request again that was interrupted, as by a child's end or work of `io_uring` for the thread. (KVM_RUN, which is
  /// interrupted on purpose, is not made here.)
  private func uninterrupted(_ request: () -> Int32) -> Int32 {
    while true {
      let result = request()
      if result >= 0 || errno != EINTR { return result }
    }
  }

  /// A request whose argument is a number or nothing.
  @discardableResult
  func call(
    _ request: KVMRequest<UInt>, _ value: UInt = 0
  ) throws(EngineFailure) -> Int32 {
    let result = uninterrupted { chost_ioctl_value(descriptor, request.code, value) }
    guard result >= 0 else { throw .host(call: request.name, errno: errno) }
    return result
  }

  /// A request whose argument is a structure, which the kernel reads, fills or both.
  @discardableResult
  func call<Argument>(
    _ request: KVMRequest<Argument>, _ argument: inout Argument
  ) throws(EngineFailure) -> Int32 {
    // SAFETY: the request's code carries the size of `Argument`; the kernel touches no more.
    let result = unsafe withUnsafeMutablePointer(to: &argument) { argument in
      uninterrupted { unsafe chost_ioctl_pointer(descriptor, request.code, argument) }
    }
    guard result >= 0 else { throw .host(call: request.name, errno: errno) }
    return result
  }

  /// A request whose argument only the kernel fills.
  func read<Argument>(
    _ request: KVMRequest<Argument>, into empty: Argument
  ) throws(EngineFailure) -> Argument {
    var argument = empty
    try call(request, &argument)
    return argument
  }

  /// A request whose argument is a head and as many entries as it counts.
  @discardableResult
  func call(
    _ request: KVMRequest<KVMList>, _ words: inout [UInt32]
  ) throws(EngineFailure) -> Int32 {
    // SAFETY: the head, written by the caller, counts the entries that follow it in the array.
    let result = unsafe words.withUnsafeMutableBytes { words in
      uninterrupted { unsafe chost_ioctl_pointer(descriptor, request.code, words.baseAddress) }
    }
    guard result >= 0 else { throw .host(call: request.name, errno: errno) }
    return result
  }

  /// What `KVM_CHECK_EXTENSION` answers; 0 where the kernel lacks the capability.
  func capability(_ number: Int32) -> Int32 {
    max(0, chost_ioctl_value(descriptor, KVMRequest<UInt>.checkExtension.code, UInt(number)))
  }
}
