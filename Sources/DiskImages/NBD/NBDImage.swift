public import DeviceModel
import HostSystem
import Synchronization

/// A disk that an NBD server has: on another host, or of a format that a server of this one knows.
///
/// Where the server allows it, several connections share the work. A connection that is lost fails what was
/// asked of it, and is made anew.
public final class NBDImage: BlockBackend {
  private let channels: [NBDChannel]
  private let next = Atomic<Int>(0)
  private let export: NBDExport
  /// How many requests are going to ask for a flush.
  private let flushing = Monitor(0)

  public let byteCount: UInt64
  public let blockByteCount: UInt32
  public let preferredByteCount: UInt32
  public let isReadOnly: Bool
  public var canDiscard: Bool { export.canTrim }

  private static let mostConnections = 4
  private static let zeroes = MemorySegments(zeroed: 1 << 20)

  /// Connects. Blocks, up to half a minute.
  ///
  /// - Parameters:
  ///   - isReadOnly: nothing is written even if the server would take it.
  ///   - report: told what happens to connections later on, on threads of the disk's.
  public init(
    _ server: NBDServer, isReadOnly: Bool = false,
    report: @escaping @Sendable (NBDEvent) -> Void = { _ in }
  ) throws(NBDError) {
    let reporter = NBDReporter(report)
    let report: @Sendable (NBDEvent) -> Void = { reporter.report($0) }
    let first = try NBDChannel(server, report: report)
    var channels = [first]
    if case .address = server, first.export.canConnectOften {
      while channels.count < Self.mostConnections,
        // One that a server does not want is done without.
        let channel = try? NBDChannel(server, report: report), channel.export == first.export
      {
        channels.append(channel)
      }
    }
    self.channels = channels
    export = first.export
    blockByteCount = export.minimumByteCount
    byteCount = export.byteCount & ~UInt64(blockByteCount - 1)
    preferredByteCount = export.preferredByteCount
    self.isReadOnly = isReadOnly || export.isReadOnly
  }

  deinit { for channel in channels { channel.stop() } }

  var connectionCount: Int { channels.count }

  public func submit(
    _ request: BlockRequest,
    completion: @escaping @Sendable (Result<Void, BlockError>) -> Void
  ) {
    begin(request) { completion($0.map { .failure($0) } ?? .success(())) }
  }

  public func close() throws(BlockError) {
    flushing.wait { $0 == 0 ? () : nil }
    var failure: BlockError?
    if !isReadOnly {
      let end = Monitor<BlockError??>(nil)
      begin(.flush) { error in end.update { $0 = .some(error) } }
      failure = end.wait { $0 }
    }
    for channel in channels { channel.finish() }
    if let failure { throw failure }
  }

  // MARK: Requests

  private typealias Completion = @Sendable (BlockError?) -> Void

  private func begin(_ request: BlockRequest, _ completion: @escaping Completion) {
    switch request {
    case .read(let offset, let buffer): read(offset, buffer, completion)
    case .flush: send(isReadOnly || !export.canFlush ? [] : [.flush], completion)
    case _ where isReadOnly: channel().submit(.init(completion: { _ in completion(.readOnly) }))
    case .write(let offset, let buffer, let isDurable):
      write(offset, buffer, isDurable: isDurable, completion)
    case .discard(let offset, let count):
      // Advice: a server that cannot keeps the blocks.
      send(
        export.canTrim
          ? pieces(offset, count).map { .trim(offset: $0, byteCount: $1) } : [], completion)
    case .writeZeroes(let offset, let count, let mayUnmap):
      send(zeroing(offset, count, mayUnmap: mayUnmap), completion)
    }
  }

  private func read(_ offset: UInt64, _ buffer: MemorySegments, _ completion: @escaping Completion)
  {
    let target = buffer.runCount == 1 ? buffer : MemorySegments(zeroed: buffer.byteCount)
    let commands = pieces(offset, UInt64(buffer.byteCount)).map { start, count in
      NBDHandle.Command.read(
        offset: start, into: target.slice(from: Int(start - offset), count: Int(count)))
    }
    send(commands) { error in
      if buffer.runCount != 1, error == nil { buffer.write(target.bytes()) }
      completion(error)
    }
  }

  private func write(
    _ offset: UInt64, _ buffer: MemorySegments, isDurable: Bool, _ completion: @escaping Completion
  ) {
    var source = buffer
    if buffer.runCount != 1 {
      source = MemorySegments(zeroed: buffer.byteCount)
      source.write(buffer.bytes())
    }
    let commands = pieces(offset, UInt64(buffer.byteCount)).map { start, count in
      NBDHandle.Command.write(
        offset: start, from: source.slice(from: Int(start - offset), count: Int(count)),
        isDurable: isDurable && export.canWriteDurably)
    }
    guard isDurable, !export.canWriteDurably, export.canFlush else {
      return send(commands, completion)
    }
    flushing.withLock { $0 += 1 }
    let end: Completion = { [flushing] error in
      completion(error)
      flushing.update { $0 -= 1 }
    }
    send(commands) { [self] error in
      if error == nil { send([.flush], end) } else { end(error) }
    }
  }

  private func zeroing(
    _ offset: UInt64, _ count: UInt64, mayUnmap: Bool
  ) -> [NBDHandle.Command] {
    if export.canZero {
      return pieces(offset, count).map {
        .zero(offset: $0, byteCount: $1, mayUnmap: mayUnmap)
      }
    }
    return pieces(offset, count, limit: UInt64(Self.zeroes.byteCount)).map {
      .write(
        offset: $0, from: Self.zeroes.slice(from: 0, count: Int($1)), isDurable: false)
    }
  }

  /// A range in pieces that the server takes in one request.
  private func pieces(
    _ offset: UInt64, _ count: UInt64, limit: UInt64 = .max
  ) -> [(UInt64, UInt64)] {
    let limit = min(limit, UInt64(export.maximumByteCount))
    return stride(from: 0, to: count, by: Int(limit)).map { (offset + $0, min(limit, count - $0)) }
  }

  // MARK: Channels

  /// The one whose turn it is, of those that are connected.
  private func channel() -> NBDChannel {
    let turn = next.wrappingAdd(1, ordering: .relaxed).oldValue
    for step in channels.indices {
      let channel = channels[Int(UInt(bitPattern: turn &+ step) % UInt(channels.count))]
      if channel.isConnected { return channel }
    }
    return channels[0]
  }

  /// Carries commands out at once, and completes with the first error.
  private func send(_ commands: [NBDHandle.Command], _ completion: @escaping Completion) {
    guard commands.count > 1 else {
      return channel().submit(.init(command: commands.first, completion: completion))
    }
    let group = Group(commands.count, completion)
    for command in commands {
      channel().submit(.init(command: command, completion: group.end))
    }
  }

  /// Commands of one request.
  private final class Group: Sendable {
    private let left: Mutex<(count: Int, error: BlockError?)>
    private let completion: Completion

    init(_ count: Int, _ completion: @escaping Completion) {
      left = Mutex((count, nil))
      self.completion = completion
    }

    /// One of them has ended.
    func end(_ error: BlockError?) {
      let (isLast, error) = left.withLock { left in
        left.count -= 1
        left.error = left.error ?? error
        return (left.count == 0, left.error)
      }
      if isLast { completion(error) }
    }
  }
}
