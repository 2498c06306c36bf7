private import CHost
public import MachineTypes

extension GuestRAM {
  /// Copies guest memory into `destination`, all or nothing.
  public func read(
    into destination: inout [UInt8], at address: GuestPhysicalAddress
  ) throws(GuestMemoryError) {
    let count = destination.count
    let source = try unsafe host(address, UInt64(count))
    // SAFETY: `host` checked the guest range; the array is as long.
    unsafe destination.withUnsafeMutableBytes {
      unsafe $0.copyMemory(from: .init(start: source, count: count))
    }
  }

  /// The `count` bytes at `address`.
  public func bytes(
    at address: GuestPhysicalAddress, count: Int
  ) throws(GuestMemoryError) -> [UInt8] {
    _ = try unsafe host(address, UInt64(count))
    var result = [UInt8](repeating: 0, count: count)
    try read(into: &result, at: address)
    return result
  }

  /// Copies `source` to guest memory, all or nothing.
  public func write(
    _ source: [UInt8], at address: GuestPhysicalAddress
  ) throws(GuestMemoryError) {
    try unsafe write(source.span.bytes, at: address)
  }

  /// Copies `source` to guest memory, all or nothing.
  public func write(
    _ source: RawSpan, at address: GuestPhysicalAddress
  ) throws(GuestMemoryError) {
    let count = source.byteCount
    let destination = try unsafe host(address, UInt64(count))
    // SAFETY: `host` checked the guest range; the span is as long.
    unsafe source.withUnsafeBytes {
      guard let start = $0.baseAddress else { return }
      unsafe destination.copyMemory(from: start, byteCount: count)
    }
    noteWrite(address, byteCount: UInt64(count))
  }

  /// Sets `byteCount` bytes to zero.
  public func clear(
    _ address: GuestPhysicalAddress, byteCount: UInt64
  ) throws(GuestMemoryError) {
    let destination = try unsafe host(address, byteCount)
    // SAFETY: `host` checked the guest range.
    unsafe destination.initializeMemory(as: UInt8.self, repeating: 0, count: Int(byteCount))
    noteWrite(address, byteCount: byteCount)
  }

  /// The little-endian integer at `address`, which need not be aligned.
  public func load<T: FixedWidthInteger & BitwiseCopyable>(
    _ type: T.Type = T.self, at address: GuestPhysicalAddress
  ) throws(GuestMemoryError) -> T {
    let source = try unsafe host(address, UInt64(MemoryLayout<T>.size))
    // SAFETY: `host` checked the guest range.
    return unsafe T(littleEndian: source.loadUnaligned(as: T.self))
  }

  /// Stores a little-endian integer at `address`, which need not be aligned.
  public func store<T: FixedWidthInteger & BitwiseCopyable>(
    _ value: T, at address: GuestPhysicalAddress
  ) throws(GuestMemoryError) {
    let destination = try unsafe host(address, UInt64(MemoryLayout<T>.size))
    // SAFETY: `host` checked the guest range.
    unsafe destination.storeBytes(of: value.littleEndian, as: T.self)
    noteWrite(address, byteCount: UInt64(MemoryLayout<T>.size))
  }

  private func host(
    _ address: GuestPhysicalAddress, _ byteCount: UInt64
  ) throws(GuestMemoryError) -> UnsafeMutableRawPointer {
    guard let host = unsafe hostAddress(of: address, byteCount: byteCount) else {
      throw .notRAM(address, byteCount: byteCount)
    }
    return unsafe host
  }

  /// Engines that keep decoded code must hear of every store that did not go through them.
  func noteWrite(_ address: GuestPhysicalAddress, byteCount: UInt64) {
    guard byteCount > 0, let offset = mappingOffset(of: address, byteCount: byteCount) else {
      return
    }
    codeTracker.noteWrite(mappingOffset: offset, byteCount: byteCount)
  }
}
