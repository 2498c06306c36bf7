public import GuestMemory
import MachineTypes
import Synchronization

/// A virtqueue, split (virtio 1.2 §2.7) or packed (§2.8). Whatever the driver writes is checked before use.
public struct VirtQueue: Sendable {
  /// The most entries that the device has room for; a power of two.
  let maximumSize: UInt16
  var size: UInt16
  var isReady = false
  /// Descriptor table or ring; driver area; device area.
  var descriptors: UInt64 = 0
  var driverArea: UInt64 = 0
  var deviceArea: UInt64 = 0
  /// The MSI-X vector; FFFFh for none.
  var vector: UInt16 = 0xFFFF

  // What was negotiated.
  private var isPacked = false
  private var hasEventIndex = false
  private var hasIndirect = false

  // Where the device is. In packed rings the counters wrap at the size.
  private var nextAvailable: UInt16 = 0
  private var nextUsed: UInt16 = 0
  private var availableWrap = true
  private var usedWrap = true
  /// Where the used index was when the driver was last asked whether it wants an interrupt.
  private var lastSignalled: UInt16 = 0
  private var hasNewUsed = false
  /// How often the queue was reset. What was taken before does not come back to the ring that is there now.
  private var life: UInt32 = 0

  private static let hasNext: UInt16 = 1
  private static let isWritable: UInt16 = 2
  private static let isIndirect: UInt16 = 4
  private static let isAvailable: UInt16 = 1 << 7
  private static let isUsed: UInt16 = 1 << 15

  init(maximumSize: UInt16) {
    self.maximumSize = maximumSize
    size = maximumSize
  }

  mutating func reset() {
    let life = life &+ 1
    self = VirtQueue(maximumSize: maximumSize)
    self.life = life
  }

  /// The driver enables the queue; `features` are what was agreed on.
  mutating func start(features: UInt64) {
    isPacked = features & VirtioFeature.ringPacked != 0
    hasEventIndex = features & VirtioFeature.ringEventIndex != 0
    hasIndirect = features & VirtioFeature.ringIndirect != 0
    nextAvailable = 0
    nextUsed = 0
    availableWrap = true
    usedWrap = true
    lastSignalled = 0
    hasNewUsed = false
    isReady = true
  }

  /// Whether `size` is one that this queue can have.
  func accepts(size: UInt16, features: UInt64) -> Bool {
    guard (1...maximumSize).contains(size) else { return false }
    return features & VirtioFeature.ringPacked != 0 || size & (size - 1) == 0
  }

  // MARK: Taking

  /// The next buffer; `nil` if there is none.
  public mutating func next(_ memory: GuestRAM) throws(VirtioError) -> DescriptorChain? {
    guard isReady else { return nil }
    do {
      var chain = isPacked ? try nextPacked(memory) : try nextSplit(memory)
      chain?.life = life
      return chain
    } catch let error as VirtioError {
      throw error
    } catch {
      throw .notMemory
    }
  }

  /// Gives back the buffer taken last, unused.
  public mutating func putBack(_ chain: DescriptorChain) {
    if isPacked {
      let back = chain.entryCount
      if nextAvailable < back {
        nextAvailable = nextAvailable &+ size &- back
        availableWrap.toggle()
      } else {
        nextAvailable -= back
      }
    } else {
      nextAvailable &-= 1
    }
  }

  private mutating func nextSplit(_ memory: GuestRAM) throws -> DescriptorChain? {
    let available: UInt16 = try memory.load(at: address(driverArea, 2))
    var pending = available &- nextAvailable
    if pending == 0 {
      guard hasEventIndex else { return nil }
      // Ask for a notification of the next one, then look again.
      try memory.store(nextAvailable, at: address(deviceArea, 4 + 8 * UInt64(size)))
      atomicMemoryFence(ordering: .sequentiallyConsistent)
      let again: UInt16 = try memory.load(at: address(driverArea, 2))
      pending = again &- nextAvailable
      if pending == 0 { return nil }
    }
    guard pending <= size else { throw VirtioError.outOfRange }
    atomicMemoryFence(ordering: .acquiring)
    let slot = UInt64(nextAvailable & (size - 1))
    let head: UInt16 = try memory.load(at: address(driverArea, 4 + 2 * slot))
    var chain = DescriptorChain()
    chain.identifier = head
    try follow(&chain, memory, table: descriptors, count: size, from: head, isNested: false)
    nextAvailable &+= 1
    return chain
  }

  /// Collects a chain of a table of `count` descriptors.
  private func follow(
    _ chain: inout DescriptorChain, _ memory: GuestRAM, table: UInt64, count: UInt16,
    from first: UInt16, isNested: Bool
  ) throws {
    var number = first
    for _ in 0..<count {
      guard number < count else { throw VirtioError.outOfRange }
      let place = table &+ 16 * UInt64(number)
      let start: UInt64 = try memory.load(at: address(place, 0))
      let rest: UInt64 = try memory.load(at: address(place, 8))
      let length = UInt32(truncatingIfNeeded: rest)
      let flags = UInt16(truncatingIfNeeded: rest >> 32)
      if flags & Self.isIndirect != 0 {
        let entries = try indirectCount(length, flags, isNested: isNested)
        return try follow(
          &chain, memory, table: start, count: entries, from: 0, isNested: true)
      }
      try add(&chain, start, length, flags)
      guard flags & Self.hasNext != 0 else { return }
      number = UInt16(truncatingIfNeeded: rest >> 48)
    }
    throw VirtioError.chainTooLong
  }

  private func indirectCount(
    _ length: UInt32, _ flags: UInt16, isNested: Bool
  ) throws(VirtioError) -> UInt16 {
    guard hasIndirect, !isNested, length > 0, length % 16 == 0 else { throw .badIndirect }
    // A driver may not make them longer than the queue (§2.7.5.3.1).
    guard length / 16 <= UInt32(maximumSize) else { throw .chainTooLong }
    return UInt16(length / 16)
  }

  private func add(
    _ chain: inout DescriptorChain, _ start: UInt64, _ length: UInt32, _ flags: UInt16
  ) throws(VirtioError) {
    let range = GuestRange(
      start: GuestPhysicalAddress(rawValue: start), byteCount: UInt64(length))
    if flags & Self.isWritable != 0 {
      chain.writable.append(range)
    } else {
      guard chain.writable.ranges.isEmpty else { throw .wrongOrder }
      chain.readable.append(range)
    }
  }

  private mutating func nextPacked(_ memory: GuestRAM) throws -> DescriptorChain? {
    guard try hasAvailablePacked(memory) else {
      // Notifications stay enabled (flags 0): nothing to arm.
      return nil
    }
    atomicMemoryFence(ordering: .acquiring)
    var chain = DescriptorChain()
    chain.entryCount = 0
    var position = nextAvailable
    var wrap = availableWrap
    while true {
      guard chain.entryCount < size else { throw VirtioError.chainTooLong }
      let place = descriptors &+ 16 * UInt64(position)
      let start: UInt64 = try memory.load(at: address(place, 0))
      let rest: UInt64 = try memory.load(at: address(place, 8))
      let length = UInt32(truncatingIfNeeded: rest)
      let flags = UInt16(truncatingIfNeeded: rest >> 48)
      chain.identifier = UInt16(truncatingIfNeeded: rest >> 32)
      chain.entryCount += 1
      position += 1
      if position == size {
        position = 0
        wrap.toggle()
      }
      if flags & Self.isIndirect != 0 {
        guard chain.entryCount == 1, flags & Self.hasNext == 0 else {
          throw VirtioError.badIndirect
        }
        let entries = try indirectCount(length, flags, isNested: false)
        for entry in 0..<UInt64(entries) {
          let place = start &+ 16 * entry
          let start: UInt64 = try memory.load(at: address(place, 0))
          let rest: UInt64 = try memory.load(at: address(place, 8))
          try add(
            &chain, start, UInt32(truncatingIfNeeded: rest),
            UInt16(truncatingIfNeeded: rest >> 48) & Self.isWritable)
        }
        break
      }
      try add(&chain, start, length, flags)
      if flags & Self.hasNext == 0 { break }
    }
    nextAvailable = position
    availableWrap = wrap
    return chain
  }

  private func hasAvailablePacked(_ memory: GuestRAM) throws -> Bool {
    let flags: UInt16 = try memory.load(
      at: address(descriptors, 16 * UInt64(nextAvailable) + 14))
    return (flags & Self.isAvailable != 0) == availableWrap
      && (flags & Self.isUsed != 0) != availableWrap
  }

  // MARK: Giving back

  /// Returns buffers to the driver, all at once: it sees none of them before the last is done.
  ///
  /// - Parameter buffers: each with how many bytes the device wrote to its beginning.
  public mutating func complete(
    _ buffers: [(chain: DescriptorChain, written: UInt32)], _ memory: GuestRAM
  ) throws(VirtioError) {
    let buffers = buffers.filter { $0.chain.life == life }
    guard isReady, !buffers.isEmpty else { return }
    do {
      if isPacked {
        try completePacked(buffers, memory)
      } else {
        for buffer in buffers {
          let slot = deviceArea &+ 4 &+ 8 * UInt64(nextUsed & (size - 1))
          try memory.store(
            UInt64(buffer.chain.identifier) | UInt64(buffer.written) << 32, at: address(slot, 0))
          nextUsed &+= 1
        }
        atomicMemoryFence(ordering: .releasing)
        try memory.store(nextUsed, at: address(deviceArea, 2))
      }
      hasNewUsed = true
    } catch {
      throw .notMemory
    }
  }

  private mutating func completePacked(
    _ buffers: [(chain: DescriptorChain, written: UInt32)], _ memory: GuestRAM
  ) throws {
    // The driver looks at the flags in order: those of the first come last.
    var first: (place: UInt64, flags: UInt16)?
    for buffer in buffers {
      let place = descriptors &+ 16 * UInt64(nextUsed)
      try memory.store(buffer.written, at: address(place, 8))
      try memory.store(buffer.chain.identifier, at: address(place, 12))
      var flags: UInt16 = usedWrap ? Self.isUsed | Self.isAvailable : 0
      if buffer.written > 0 { flags |= Self.isWritable }
      if first == nil {
        first = (place, flags)
      } else {
        try memory.store(flags, at: address(place, 14))
      }
      nextUsed += buffer.chain.entryCount
      if nextUsed >= size {
        nextUsed -= size
        usedWrap.toggle()
      }
    }
    guard let first else { return }
    atomicMemoryFence(ordering: .releasing)
    try memory.store(first.flags, at: address(first.place, 14))
  }

  /// Whether the driver wants an interrupt for what was completed since this was last asked.
  mutating func takeInterrupt(_ memory: GuestRAM) -> Bool {
    guard isReady, hasNewUsed else { return false }
    hasNewUsed = false
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    let old = lastSignalled
    lastSignalled = nextUsed
    do {
      if isPacked { return try wantsPackedInterrupt(old, memory) }
      if hasEventIndex {
        let event: UInt16 = try memory.load(at: address(driverArea, 4 + 2 * UInt64(size)))
        return nextUsed &- event &- 1 < nextUsed &- old
      }
      let flags: UInt16 = try memory.load(at: address(driverArea, 0))
      return flags & 1 == 0
    } catch {
      return true
    }
  }

  private func wantsPackedInterrupt(_ old: UInt16, _ memory: GuestRAM) throws -> Bool {
    let event: UInt16 = try memory.load(at: address(driverArea, 0))
    let flags: UInt16 = try memory.load(at: address(driverArea, 2))
    switch flags & 3 {
    case 0: return true
    case 2 where hasEventIndex:
      var position = Int(event & 0x7FFF)
      if (event >> 15 != 0) != usedWrap { position -= Int(size) }
      let new = Int(nextUsed)
      var before = Int(old)
      if before > new { before -= Int(size) }
      return position >= before && position < new || position + Int(size) < new
    default: return false
    }
  }

  private func address(_ base: UInt64, _ offset: UInt64) -> GuestPhysicalAddress {
    GuestPhysicalAddress(rawValue: base &+ offset)
  }
}
