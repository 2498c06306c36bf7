public import DeviceModel
import GuestMemory

/// The file system device (virtio 1.2 §5.11), virtio-fs: FUSE messages go to a `FileSharingBackend` and their
/// answers come back through the machine's input gate. Without a DAX window and without notifications.
public struct FileSharingDevice: VirtioDevice {
  private let backend: any FileSharingBackend
  private let tag: [UInt8]
  private let submit: @Sendable (DeviceInput) -> Void
  private var pending: [UInt64: Request] = [:]
  private var nextRequest: UInt64 = 0
  /// What requests under way and their answers may take of the host's memory, together.
  private var pendingByteCount = 0

  private struct Request: Sendable {
    var chain: DescriptorChain
    var queue: Int
    /// What it counts for in `pendingByteCount`.
    var byteCount: Int
  }

  /// The most bytes of a tag.
  public static let mostTagBytes = 36
  /// The most bytes of a message; longer answers are not asked for.
  private static let mostMessageBytes: UInt64 = 1 << 20 + 1 << 16
  /// With more than that under way the queues wait.
  private static let mostPendingBytes = 16 << 20
  private static let mostPendingRequests = 256

  /// - Parameters:
  ///   - tag: what the guest mounts it by: 36 bytes of UTF-8 at most, and at least one.
  ///   - submit: hands a completion to the machine's input gate. From any thread.
  public init(
    _ backend: any FileSharingBackend, tag: String,
    submit: @escaping @Sendable (DeviceInput) -> Void
  ) {
    self.backend = backend
    self.tag = Array(tag.utf8.prefix(Self.mostTagBytes))
    self.submit = submit
  }

  public var deviceType: UInt16 { 26 }
  public var features: UInt64 { 0 }

  /// For urgent requests (FORGET), and for all others. A request of 256 pages takes some entries more.
  public var queueSizes: [UInt16] { [128, 512] }

  /// `struct virtio_fs_config` (§5.11.4): the tag, and the count of request queues.
  public var configuration: [UInt8] {
    tag + [UInt8](repeating: 0, count: Self.mostTagBytes - tag.count) + [1, 0, 0, 0]
  }

  public mutating func notify(
    _ queue: Int, _ queues: inout VirtioQueues
  ) throws(VirtioError) {
    // No more than the queue holds, so that this takes bounded time; completions look again.
    for _ in 0..<queueSizes[queue] {
      guard pendingByteCount < Self.mostPendingBytes, pending.count < Self.mostPendingRequests,
        let chain = try queues.next(queue)
      else { return }
      try begin(chain, queue, queues)
    }
  }

  private mutating func begin(
    _ chain: DescriptorChain, _ queue: Int, _ queues: VirtioQueues
  ) throws(VirtioError) {
    guard chain.readable.byteCount <= Self.mostMessageBytes else { throw .badRequest }
    let message = try queues.read(chain.readable, limit: Int(Self.mostMessageBytes))
    let replyLimit = Int(min(chain.writable.byteCount, Self.mostMessageBytes))
    let number = nextRequest
    nextRequest &+= 1
    let byteCount = message.count + replyLimit
    pending[number] = Request(chain: chain, queue: queue, byteCount: byteCount)
    pendingByteCount += byteCount
    backend.submit(message, replyLimit: replyLimit) { [submit] bytes in
      submit(.fileReply(request: number, bytes: bytes))
    }
  }

  public mutating func receive(
    _ input: DeviceInput, _ queues: inout VirtioQueues
  ) throws(VirtioError) -> Int {
    guard case .fileReply(let number, let bytes) = input,
      // What a reset has overtaken is not there any more.
      let request = pending.removeValue(forKey: number)
    else { return 1 }
    pendingByteCount -= request.byteCount
    let written = try queues.write(bytes, to: request.chain.writable)
    try queues.complete(
      request.chain, of: request.queue, written: UInt32(truncatingIfNeeded: written))
    for queue in queueSizes.indices { try notify(queue, &queues) }
    return 1
  }

  public mutating func reset() {
    // What the folder has answered and the gate has not yet brought here is not asked for any more.
    backend.reset()
    pending = [:]
    pendingByteCount = 0
  }
}
