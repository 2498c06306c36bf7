public import DeviceModel
import GuestMemory
public import MachineTypes

/// The traditional memory balloon (virtio 1.2 §5.5): memory that the guest hands in is given back to the host.
public struct BalloonDevice: VirtioDevice {
  public struct Options: Sendable {
    /// Pages of 4 KiB that are wanted at first.
    public var targetPageCount: UInt32 = 0
    /// A guest that runs out of memory may take pages back.
    public var deflatesOnOutOfMemory = true
    /// The guest tells which of its pages are free.
    public var reportsFreePages = true
    /// How often the guest is asked for statistics, in nanoseconds; `nil` for once, when its driver starts.
    public var statisticsInterval: UInt64?

    public init() {}
  }

  private let options: Options
  private let clock: any MachineClock
  private var targetPageCount: UInt32
  /// What the driver says that it has handed in.
  public private(set) var actualPageCount: UInt32 = 0
  public private(set) var statistics: BalloonStatistics?
  /// How many pages the host got back through the reporting of free ones.
  public private(set) var reportedPageCount: UInt64 = 0
  /// What the guest fills free pages with, and finds them filled with.
  private var poison: UInt32 = 0
  private var agreed: UInt64 = 0
  /// The buffer through which the guest is asked for statistics.
  private var statisticsBuffer: DescriptorChain?
  private var nextPoll: VirtualInstant?

  private enum Feature {
    static let statistics: UInt64 = 1 << 1
    static let deflateOnOutOfMemory: UInt64 = 1 << 2
    static let poison: UInt64 = 1 << 4
    static let reporting: UInt64 = 1 << 5
  }

  private enum Purpose { case inflate, deflate, statistics, reporting }

  private static let pageSize: UInt64 = 4096
  /// The most page numbers of one buffer, four bytes each.
  private static let mostNumbers: UInt64 = 64 << 10

  public init(_ options: Options, clock: any MachineClock) {
    self.options = options
    self.clock = clock
    targetPageCount = options.targetPageCount
  }

  public var deviceType: UInt16 { 5 }

  public var features: UInt64 {
    var features = Feature.statistics | Feature.poison
    if options.deflatesOnOutOfMemory { features |= Feature.deflateOnOutOfMemory }
    if options.reportsFreePages { features |= Feature.reporting }
    return features
  }

  public var queueSizes: [UInt16] {
    options.reportsFreePages ? [128, 128, 16, 64] : [128, 128, 16]
  }

  /// `struct virtio_balloon_config` (§5.5.4).
  public var configuration: [UInt8] {
    [targetPageCount, actualPageCount, 0, poison].flatMap { value in
      (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }
    }
  }

  public mutating func writeConfiguration(_ value: UInt8, at offset: Int) {
    func replaced(_ number: UInt32) -> UInt32 {
      let shift = UInt32(8 * (offset & 3))
      return number & ~(0xFF << shift) | UInt32(value) << shift
    }
    switch offset {
    case 4..<8: actualPageCount = replaced(actualPageCount)
    case 12..<16: poison = replaced(poison)
    default: break
    }
  }

  /// Drivers and devices number only the queues of what was agreed on.
  private func purpose(ofQueue queue: Int) -> Purpose? {
    var purposes: [Purpose] = [.inflate, .deflate]
    if agreed & Feature.statistics != 0 { purposes.append(.statistics) }
    if agreed & Feature.reporting != 0 { purposes.append(.reporting) }
    return purposes.indices.contains(queue) ? purposes[queue] : nil
  }

  public mutating func start(
    features: UInt64, _ queues: inout VirtioQueues
  ) throws(VirtioError) { agreed = features }

  public mutating func reset() {
    // The guest takes its memory back; what the host wants stays the same.
    actualPageCount = 0
    poison = 0
    agreed = 0
    statistics = nil
    statisticsBuffer = nil
    nextPoll = nil
  }

  public mutating func notify(
    _ queue: Int, _ queues: inout VirtioQueues
  ) throws(VirtioError) {
    guard let purpose = purpose(ofQueue: queue) else { return }
    // No more than the queue holds, so that this takes bounded time.
    for _ in 0..<queueSizes[queue] {
      guard let chain = try queues.next(queue) else { return }
      switch purpose {
      case .inflate: try inflate(chain, queues)
      // A page takes memory again when it is used.
      case .deflate: break
      case .statistics:
        try takeStatistics(chain, queue, &queues)
        continue
      case .reporting: try discardReported(chain, queues)
      }
      try queues.complete(chain, of: queue)
    }
  }

  // MARK: Pages

  private func inflate(_ chain: DescriptorChain, _ queues: VirtioQueues) throws(VirtioError) {
    let byteCount = chain.readable.byteCount
    guard byteCount % 4 == 0, byteCount <= 4 * Self.mostNumbers else { throw .badRequest }
    let bytes = try queues.read(chain.readable, limit: Int(byteCount))
    let pages = stride(from: 0, to: bytes.count, by: 4).map { start in
      (0..<4).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64(bytes[start + $1]) }
    }.sorted()
    var first = 0
    while first < pages.count {
      var last = first
      while last + 1 < pages.count, pages[last + 1] - pages[last] <= 1 { last += 1 }
      let range = GuestRange(
        start: GuestPhysicalAddress(rawValue: pages[first] * Self.pageSize),
        byteCount: (pages[last] - pages[first] + 1) * Self.pageSize)
      try discard(range, queues)
      first = last + 1
    }
  }

  private mutating func discardReported(
    _ chain: DescriptorChain, _ queues: VirtioQueues
  ) throws(VirtioError) {
    // Pages that are to hold a pattern cannot be given back: they would come back empty.
    guard agreed & Feature.poison == 0 || poison == 0 else { return }
    for range in chain.writable.ranges {
      try discard(range, queues)
      reportedPageCount &+= range.byteCount / Self.pageSize
    }
  }

  private func discard(_ range: GuestRange, _ queues: VirtioQueues) throws(VirtioError) {
    do {
      try queues.memory.discard(range)
    } catch {
      throw .notMemory
    }
  }

  // MARK: Statistics

  private mutating func takeStatistics(
    _ chain: DescriptorChain, _ queue: Int, _ queues: inout VirtioQueues
  ) throws(VirtioError) {
    let bytes = try queues.read(chain.readable, limit: BalloonStatistics.mostBytes)
    statistics = BalloonStatistics(bytes, time: clock.now)
    // A driver has one buffer for them; another goes back at once.
    if let old = statisticsBuffer { try queues.complete(old, of: queue) }
    statisticsBuffer = chain
    nextPoll = options.statisticsInterval.map { clock.now.advanced(byNanoseconds: $0) }
  }

  public var nextDeadline: VirtualInstant? { nextPoll }

  /// Gives the buffer back, whereupon the guest fills it anew.
  public mutating func advance(_ queues: inout VirtioQueues) throws(VirtioError) {
    guard let deadline = nextPoll, deadline <= clock.now, let chain = statisticsBuffer else {
      return
    }
    nextPoll = nil
    statisticsBuffer = nil
    try queues.complete(chain, of: 2)
  }

  // MARK: The host

  public mutating func receive(
    _ input: DeviceInput, _ queues: inout VirtioQueues
  ) throws(VirtioError) -> Int {
    queues.configurationChanged = true
    return dismiss(input)
  }

  public mutating func dismiss(_ input: DeviceInput) -> Int {
    if case .balloonTarget(let pageCount) = input { targetPageCount = pageCount }
    return 1
  }
}
