/// A virtio memory balloon, through which a guest hands memory back to the host.
public struct VirtioMemoryBalloonDeviceConfiguration: Sendable {
  /// The memory in bytes that the guest is to keep at first; `nil` for all of it. Rounded up to 4,096.
  /// `VirtualMachine.setTargetMemorySize` changes it later.
  public var targetMemorySize: UInt64?
  /// How often the guest is asked for statistics, by the machine's clock; `nil` for once, when its driver starts.
  public var statisticsInterval: Duration?
  /// Whether a guest that runs out of memory may take some back without being asked.
  public var deflatesOnOutOfMemory: Bool
  /// Whether the host gets back pages that are free in the guest, without an order. The guest keeps them.
  public var reportsFreePages: Bool

  public init(
    targetMemorySize: UInt64? = nil, statisticsInterval: Duration? = nil,
    deflatesOnOutOfMemory: Bool = true, reportsFreePages: Bool = true
  ) {
    self.targetMemorySize = targetMemorySize
    self.statisticsInterval = statisticsInterval
    self.deflatesOnOutOfMemory = deflatesOnOutOfMemory
    self.reportsFreePages = reportsFreePages
  }
}
