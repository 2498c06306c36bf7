import DeviceModel
import HostSystem

/// Carries out a disk's requests on a few threads, so that several can be under way; without them what is no more
/// than a transfer to or from the disk's file, which the kernel's ring does where there is one.
final class ThreadedImage: BlockBackend {
  private let disk: any SynchronousDisk
  private let threads: RequestThreads
  private let transfers: AsynchronousFile?

  var byteCount: UInt64 { disk.byteCount }
  let blockByteCount: UInt32 = 512
  var preferredByteCount: UInt32 { disk.preferredByteCount }
  var isReadOnly: Bool { disk.isReadOnly }
  var canDiscard: Bool { disk.canDiscard }

  private static let threadCount = 8

  init(
    _ disk: any SynchronousDisk, method: AsynchronousFile.Method = .automatic
  ) throws(HostError) {
    self.disk = disk
    threads = try RequestThreads(count: Self.threadCount) { [disk] (request) throws(BlockError) in
      try disk.perform(request)
    }
    transfers = try disk.directFile.map { file throws(HostError) in
      try AsynchronousFile(file, method: method)
    }
  }

  func submit(
    _ request: BlockRequest,
    completion: @escaping @Sendable (Result<Void, BlockError>) -> Void
  ) {
    guard let transfers, let transfer = disk.beginDirect(request) else {
      return threads.submit(request, completion: completion)
    }
    transfers.submit(transfer.request) { [disk] result in
      disk.endDirect(transfer)
      completion(result)
    }
  }

  func close() throws(BlockError) {
    threads.finish()
    transfers?.finish()
    try disk.close()
  }
}
