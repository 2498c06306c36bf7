import DeviceModel
import HostSystem

@testable import DiskImages

/// A file in memory that holds the input and grows no further than an image has reason to.
private final class FuzzedStorage: ImageStorage {
  private let bytes: Monitor<[UInt8]>
  let isReadOnly = false

  init(_ bytes: [UInt8]) { self.bytes = Monitor(bytes) }

  func byteCount() throws(HostError) -> UInt64 { UInt64(bytes.withLock { $0.count }) }
  func isRegularFile() throws(HostError) -> Bool { true }

  func read(into buffer: MemorySegments, at offset: UInt64) throws(HostError) {
    let part = bytes.withLock { bytes -> [UInt8] in
      guard let start = Int(exactly: offset), start < bytes.count else { return [] }
      return Array(bytes[start..<min(bytes.count, start + buffer.byteCount)])
    }
    buffer.write(part)
    buffer.clear(from: part.count, count: buffer.byteCount - part.count)
  }

  func write(from buffer: MemorySegments, at offset: UInt64) throws(HostError) {
    let data = buffer.bytes()
    try bytes.withLock { (bytes) throws(HostError) in
      guard offset < 64 << 20 else { throw HostError(call: "pwritev", errno: 28) }
      let end = Int(offset) + data.count
      if bytes.count < end { bytes += [UInt8](repeating: 0, count: end - bytes.count) }
      bytes.replaceSubrange(Int(offset)..<end, with: data)
    }
  }

  func flush() throws(HostError) {}
  func punchHole(at offset: UInt64, byteCount: UInt64) throws(HostError) {}
  func resize(to byteCount: UInt64) throws(HostError) {}
  func reserve(at offset: UInt64, byteCount: UInt64) throws(HostError) {}
  func nextData(from offset: UInt64) throws(HostError) -> UInt64? { offset }
  func unlock() {}
}

/// Opens the input as a qcow2 image, reads, writes, checks and repairs it. Clusters of more than 64 KiB are left out: their
/// tables make each input slow and nothing new.
func fuzzQcow2(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let bytes = Array(UnsafeBufferPointer(start: data, count: count))
  let storage = FuzzedStorage(bytes)
  guard let header = try? Qcow2Header(reading: storage), header.clusterBits <= 16 else { return 0 }
  let size = min(header.virtualByteCount & ~511, 1 << 20)
  if let disk = try? Qcow2Disk(storage: storage, backing: nil, isReadOnly: true) {
    for offset in stride(from: 0, to: size, by: 32_768) {
      let buffer = MemorySegments(zeroed: Int(min(4096, size - offset)))
      try? disk.perform(.read(offset: offset, into: buffer))
    }
  }
  if let disk = try? Qcow2Disk(storage: storage, backing: nil, isReadOnly: false) {
    for offset in stride(from: 0, to: size, by: 65_536) {
      let buffer = MemorySegments(zeroed: Int(min(1024, size - offset)))
      try? disk.perform(.write(offset: offset, from: buffer, isDurable: false))
    }
    try? disk.perform(.writeZeroes(offset: 0, byteCount: size / 2, mayUnmap: true))
    try? disk.perform(.discard(offset: 0, byteCount: size))
    try? disk.close()
  }
  let original = FuzzedStorage(bytes)
  _ = try? Qcow2Check(original, header).repair(.all)
  return 0
}
