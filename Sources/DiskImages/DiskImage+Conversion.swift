import DeviceModel
import HostSystem

extension DiskImage {
  /// Copies an image, with what lies behind it, to a new one of another format or shape. What is zero takes no space.
  ///
  /// - Parameters:
  ///   - options: of the new image; its size is the old one's unless given.
  ///   - isCompressed: the new image's clusters are compressed, where that makes them shorter.
  ///   - progress: hears of the bytes that are done, out of all.
  public static func convert(
    from source: String, format: ImageFormat? = nil, to target: String, _ options: ImageOptions,
    isCompressed: Bool = false, progress: (UInt64, UInt64) -> Void = { _, _ in }
  ) throws(DiskImageError) {
    var options = options
    guard !isCompressed || options.format == .qcow2 else {
      throw DiskImageError(path: target, .invalid("only qcow2 images can be compressed"))
    }
    guard !isCompressed || options.preallocation == .off else {
      throw DiskImageError(path: target, .invalid("a compressed image cannot be preallocated"))
    }
    let from = try openSynchronous(path: source, format: format, isReadOnly: true)
    options.byteCount = options.byteCount ?? from.byteCount
    guard let size = options.byteCount, size >= from.byteCount else {
      throw DiskImageError(
        path: target, .invalid("the new image would be smaller than the old one"))
    }
    try create(path: target, options)
    let to = try openSynchronous(path: target, format: options.format, isReadOnly: false)
    do throws(DiskImageError) {
      let copy = Copy(from: from, to: to, isCompressed: isCompressed)
      try copy.run(source, target, progress)
      try DiskImageError.block(target) { () throws(BlockError) in try to.close() }
    } catch {
      // Half a copy is of no use to anybody.
      try? ImageFile.remove(path: target)
      throw error
    }
    try DiskImageError.block(source) { () throws(BlockError) in try from.close() }
  }

  private struct Copy {
    let from: any SynchronousDisk
    let to: any SynchronousDisk
    let isCompressed: Bool

    func run(
      _ source: String, _ target: String, _ progress: (UInt64, UInt64) -> Void
    ) throws(DiskImageError) {
      let cluster = UInt64(to.preferredByteCount)
      let unit = isCompressed ? cluster : max(4096, cluster)
      let most = max(unit, 2 << 20)
      var position: UInt64 = 0
      progress(0, from.byteCount)
      while true {
        let next = try block(source) { () throws(BlockError) in
          try from.nextData(from: position)
        }
        guard let next else { break }
        position = max(position, next / unit * unit)
        let count = min(most, from.byteCount - position)
        let buffer = MemorySegments(zeroed: Int(count))
        try block(source) { () throws(BlockError) in
          try from.perform(.read(offset: position, into: buffer))
        }
        try block(target) { () throws(BlockError) in try write(buffer, at: position, unit) }
        position += count
        progress(position, from.byteCount)
      }
      try block(target) { () throws(BlockError) in
        if isCompressed { try (to as? Qcow2Disk)?.finishCompression() }
      }
      progress(from.byteCount, from.byteCount)
    }

    private func block<Result>(
      _ path: String, _ body: () throws(BlockError) -> Result
    ) throws(DiskImageError) -> Result {
      try DiskImageError.block(path, body)
    }

    /// Writes the units that are not all zeroes.
    private func write(
      _ buffer: MemorySegments, at offset: UInt64, _ unit: UInt64
    ) throws(BlockError) {
      let count = UInt64(buffer.byteCount)
      var start: UInt64 = 0
      while start < count {
        guard !buffer.isZero(from: Int(start), count: Int(min(unit, count - start))) else {
          start += unit
          continue
        }
        if isCompressed, let disk = to as? Qcow2Disk {
          let part = buffer.slice(from: Int(start), count: Int(min(unit, count - start)))
          try disk.writeCompressed(part, at: offset + start)
          start += unit
          continue
        }
        var end = start + unit
        while end < count, !buffer.isZero(from: Int(end), count: Int(min(unit, count - end))) {
          end += unit
        }
        end = min(end, count)
        try to.perform(
          .write(
            offset: offset + start,
            from: buffer.slice(from: Int(start), count: Int(end - start)), isDurable: false))
        start = end
      }
    }
  }
}
