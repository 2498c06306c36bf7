import GuestMemory
public import MachineTypes

/// The entropy device (virtio 1.2 §5.4): fills buffers from the machine's source.
public struct EntropyDevice: VirtioDevice {
  private let source: any EntropySource

  /// No buffer gets more, so that one notification takes bounded time.
  private static let mostBytes = 4096

  public init(source: any EntropySource) { self.source = source }

  public var deviceType: UInt16 { 4 }
  public var features: UInt64 { 0 }
  public var queueSizes: [UInt16] { [64] }
  public var configuration: [UInt8] { [] }

  public mutating func notify(
    _ queue: Int, _ queues: inout VirtioQueues
  ) throws(VirtioError) {
    // The driver cannot add buffers while this runs on its CPU, but others can.
    for _ in 0..<64 {
      guard let chain = try queues.next(queue) else { return }
      let count = Int(min(chain.writable.byteCount, UInt64(Self.mostBytes)))
      var bytes: [UInt8] = []
      while bytes.count < count {
        let word = source.next()
        bytes += (0..<UInt64(8)).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) }
      }
      bytes.removeLast(bytes.count - count)
      let written = try queues.write(bytes, to: chain.writable)
      try queues.complete(chain, of: queue, written: UInt32(written))
    }
  }

  public mutating func reset() {}
}
