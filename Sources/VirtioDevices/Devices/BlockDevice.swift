public import DeviceModel
import GuestMemory
import HostSystem
import Synchronization

/// The block device (virtio 1.2 §5.2): requests go to a `BlockBackend` and come back through the
/// machine's input gate.
public struct BlockDevice: VirtioDevice {
  private let backend: any BlockBackend
  private let serialNumber: [UInt8]
  private let queueCount: Int
  private let inFlight: BlockRequests
  /// The disk's size as far as the guest may know of it.
  private var byteCount: UInt64
  private var pending: [UInt64: Request] = [:]
  private var nextRequest: UInt64 = 0

  private struct Request: Sendable {
    var chain: DescriptorChain
    var queue: Int
    /// Where a read went.
    var data: GuestRanges
    var written: UInt32
  }

  /// The most that one request may move.
  static let mostBytes: UInt64 = 64 << 20
  private static let mostSegments: UInt32 = 254
  private static let queueSize: UInt16 = 256

  private enum Feature {
    static let segmentCount: UInt64 = 1 << 2
    static let readOnly: UInt64 = 1 << 5
    static let blockSize: UInt64 = 1 << 6
    static let flush: UInt64 = 1 << 9
    static let topology: UInt64 = 1 << 10
    static let multipleQueues: UInt64 = 1 << 12
    static let discard: UInt64 = 1 << 13
    static let writeZeroes: UInt64 = 1 << 14
  }

  private enum Kind {
    static let read: UInt32 = 0
    static let write: UInt32 = 1
    static let flush: UInt32 = 4
    static let identify: UInt32 = 8
    static let discard: UInt32 = 11
    static let writeZeroes: UInt32 = 13
  }

  enum Status {
    static let success: UInt8 = 0
    static let ioError: UInt8 = 1
    static let unsupported: UInt8 = 2
  }

  /// - Parameters:
  ///   - serialNumber: what the guest sees of it: 20 bytes of ASCII at most.
  ///   - submit: hands a completion to the machine's input gate. From any thread.
  public init(
    _ backend: any BlockBackend, serialNumber: String, queueCount: Int = 1,
    submit: @escaping @Sendable (DeviceInput) -> Void
  ) {
    self.backend = backend
    byteCount = backend.byteCount
    self.serialNumber = Array(serialNumber.utf8.prefix(20))
    self.queueCount = max(1, min(queueCount, 16))
    inFlight = BlockRequests(submit: submit)
  }

  public var deviceType: UInt16 { 2 }

  public var features: UInt64 {
    var features =
      Feature.segmentCount | Feature.blockSize | Feature.flush | Feature.topology
      | Feature.multipleQueues
    if backend.isReadOnly { features |= Feature.readOnly }
    if !backend.isReadOnly { features |= Feature.writeZeroes }
    if backend.canDiscard && !backend.isReadOnly { features |= Feature.discard }
    return features
  }

  public var queueSizes: [UInt16] { Array(repeating: Self.queueSize, count: queueCount) }

  /// `struct virtio_blk_config` (§5.2.4).
  public var configuration: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 60)
    func set(_ value: UInt64, _ count: Int, at offset: Int) {
      for index in 0..<count {
        bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
      }
    }
    let block = UInt64(backend.blockByteCount)
    let exponent = (UInt64(backend.preferredByteCount) / block).trailingZeroBitCount
    let mostSectors = Self.mostBytes / 512
    set(byteCount / 512, 8, at: 0)
    set(UInt64(Self.mostSegments), 4, at: 12)
    set(block, 4, at: 20)
    set(UInt64(min(exponent, 8)), 1, at: 24)
    set(1, 2, at: 26)
    set(UInt64(queueCount), 2, at: 34)
    set(mostSectors, 4, at: 36)
    set(1, 4, at: 40)
    set(block / 512, 4, at: 44)
    set(mostSectors, 4, at: 48)
    set(1, 4, at: 52)
    set(1, 1, at: 56)
    return bytes
  }

  // MARK: Requests

  public mutating func notify(
    _ queue: Int, _ queues: inout VirtioQueues
  ) throws(VirtioError) {
    var batch: [BlockSubmission] = []
    defer { if !batch.isEmpty { backend.submit(batch) } }
    // No more than the queue holds, so that this takes bounded time; completions look again.
    for _ in 0..<Int(Self.queueSize) {
      guard let chain = try queues.next(queue) else { return }
      try begin(chain, queue, &queues, &batch)
    }
  }

  /// Answers a request, or adds what the disk is to do to `batch`.
  private mutating func begin(
    _ chain: DescriptorChain, _ queue: Int, _ queues: inout VirtioQueues,
    _ batch: inout [BlockSubmission]
  ) throws(VirtioError) {
    let header = try queues.read(chain.readable, limit: 16)
    guard header.count == 16, chain.writable.byteCount >= 1,
      chain.readable.byteCount <= Self.mostBytes + 16,
      chain.writable.byteCount <= Self.mostBytes + 1
    else { throw .badRequest }
    let kind = UInt32(truncatingIfNeeded: littleEndian(header[0..<4]))
    let sector = littleEndian(header[8..<16])
    let output = chain.readable.slice(from: 16)
    let input = chain.writable.slice(from: 0, count: chain.writable.byteCount - 1)
    var request = Request(chain: chain, queue: queue, data: GuestRanges(), written: 1)
    switch kind {
    case Kind.read:
      guard let offset = offset(sector, input.byteCount) else {
        return try finish(request, Status.ioError, &queues)
      }
      request.data = input
      request.written += UInt32(input.byteCount)
      let buffer = try segments(input, queues)
      start(request, .read(offset: offset, into: buffer), &batch)
    case Kind.write:
      guard !backend.isReadOnly, let offset = offset(sector, output.byteCount) else {
        return try finish(request, Status.ioError, &queues)
      }
      let buffer = try segments(output, queues)
      start(request, .write(offset: offset, from: buffer, isDurable: false), &batch)
    case Kind.flush: start(request, .flush, &batch)
    case Kind.identify:
      let name = serialNumber + [UInt8](repeating: 0, count: 20 - serialNumber.count)
      request.written += UInt32(try queues.write(name, to: input))
      try finish(request, Status.success, &queues)
    case Kind.discard, Kind.writeZeroes:
      guard let operation = try clearing(kind, output, queues) else {
        return try finish(request, Status.ioError, &queues)
      }
      start(request, operation, &batch)
    default: try finish(request, Status.unsupported, &queues)
    }
  }

  /// Where a transfer starts; `nil` unless it is whole blocks within the disk.
  private func offset(_ sector: UInt64, _ byteCount: UInt64) -> UInt64? {
    let (start, overflow) = sector.multipliedReportingOverflow(by: 512)
    let (end, wraps) = start.addingReportingOverflow(byteCount)
    let block = UInt64(backend.blockByteCount)
    guard !overflow, !wraps, end <= self.byteCount, start % block == 0, byteCount % block == 0
    else { return nil }
    return start
  }

  /// The one segment of a discard or a write of zeroes (§5.2.6).
  private func clearing(
    _ kind: UInt32, _ output: GuestRanges, _ queues: VirtioQueues
  ) throws(VirtioError) -> BlockRequest? {
    let segment = try queues.read(output, limit: 16)
    guard segment.count == 16, output.byteCount == 16, !backend.isReadOnly else { return nil }
    let count = littleEndian(segment[8..<12]) * 512
    let flags = littleEndian(segment[12..<16])
    guard let offset = offset(littleEndian(segment[0..<8]), count), count <= Self.mostBytes,
      flags & ~1 == 0
    else { return nil }
    if kind == Kind.discard { return .discard(offset: offset, byteCount: count) }
    return .writeZeroes(offset: offset, byteCount: count, mayUnmap: flags & 1 != 0)
  }

  private func segments(
    _ ranges: GuestRanges, _ queues: VirtioQueues
  ) throws(VirtioError) -> MemorySegments {
    do {
      return try queues.memory.segments(of: ranges.ranges)
    } catch {
      throw .notMemory
    }
  }

  private mutating func start(
    _ request: Request, _ operation: BlockRequest, _ batch: inout [BlockSubmission]
  ) {
    let number = nextRequest
    nextRequest &+= 1
    pending[number] = request
    batch.append(inFlight.begin(number, operation))
  }

  public mutating func receive(
    _ input: DeviceInput, _ queues: inout VirtioQueues
  ) throws(VirtioError) -> Int {
    switch input {
    case .blockCompletion(let number, let status):
      // What a reset has overtaken is not there any more.
      guard let request = pending.removeValue(forKey: number) else { return 1 }
      queues.memory.noteTransfer(to: request.data.ranges)
      try finish(request, status, &queues)
      try notify(request.queue, &queues)
    case .blockResize(let byteCount):
      self.byteCount = byteCount
      queues.configurationChanged = true
    default: break
    }
    return 1
  }

  public mutating func dismiss(_ input: DeviceInput) -> Int {
    if case .blockResize(let byteCount) = input { self.byteCount = byteCount }
    return 1
  }

  private func finish(
    _ request: Request, _ status: UInt8, _ queues: inout VirtioQueues
  ) throws(VirtioError) {
    let end = request.chain.writable.slice(from: request.chain.writable.byteCount - 1)
    try queues.write([status], to: end)
    try queues.complete(request.chain, of: request.queue, written: request.written)
  }

  public mutating func reset() {
    inFlight.end(of: backend.dropWaiting())
    inFlight.waitUntilIdle()
    pending = [:]
  }
}

/// Requests that a backend is at work on.
private final class BlockRequests: Sendable {
  private let count = Monitor(0)
  private let submit: @Sendable (DeviceInput) -> Void

  init(submit: @escaping @Sendable (DeviceInput) -> Void) { self.submit = submit }

  func begin(_ number: UInt64, _ operation: BlockRequest) -> BlockSubmission {
    count.withLock { $0 += 1 }
    return BlockSubmission(operation) { [self] result in
      let status: UInt8
      switch result {
      case .success: status = BlockDevice.Status.success
      case .failure(.unsupported): status = BlockDevice.Status.unsupported
      case .failure: status = BlockDevice.Status.ioError
      }
      // Memory is left alone from here on: a reset need not wait for what the gate does.
      count.update { $0 -= 1 }
      submit(.blockCompletion(request: number, status: status))
    }
  }

  /// So many do not take place.
  func end(of dropped: Int) { count.update { $0 -= dropped } }

  func waitUntilIdle() { count.wait { $0 == 0 ? () : nil } }
}

private func littleEndian(_ bytes: ArraySlice<UInt8>) -> UInt64 {
  bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
}
