import DeviceModel
import HostSystem

/// Carries out a disk's requests on a few threads, so that several can be under way.
final class ThreadedImage: BlockBackend {
  private let disk: any SynchronousDisk
  private let threads: RequestThreads

  var byteCount: UInt64 { disk.byteCount }
  let blockByteCount: UInt32 = 512
  var preferredByteCount: UInt32 { disk.preferredByteCount }
  var isReadOnly: Bool { disk.isReadOnly }
  var canDiscard: Bool { disk.canDiscard }

  private static let threadCount = 8

  init(_ disk: any SynchronousDisk) throws(HostError) {
    self.disk = disk
    threads = try RequestThreads(count: Self.threadCount) { [disk] (request) throws(BlockError) in
      try disk.perform(request)
    }
  }

  func submit(
    _ request: BlockRequest,
    completion: @escaping @Sendable (Result<Void, BlockError>) -> Void
  ) {
    threads.submit(request, completion: completion)
  }

  func close() throws(BlockError) {
    threads.finish()
    try disk.close()
  }
}
