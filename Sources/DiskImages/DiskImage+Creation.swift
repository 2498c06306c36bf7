import DeviceModel
import HostSystem

extension DiskImage {
  /// Makes a new image.
  ///
  /// - Throws: `exists` if there is a file of this name; other errors leave no file behind.
  public static func create(
    path: String, _ options: ImageOptions
  ) throws(DiskImageError) {
    var options = options
    if let name = options.backingFile {
      guard options.format == .qcow2 else {
        throw DiskImageError(path: path, .invalid("a raw image has no backing file"))
      }
      guard options.preallocation == .off else {
        throw DiskImageError(
          path: path, .invalid("an image with a backing file cannot be preallocated"))
      }
      let backingPath = try resolve(name, relativeTo: path)
      let format = try known(options.backingFormat, backingPath)
      let backing = try openSynchronous(path: backingPath, format: format, isReadOnly: true)
      options.backingFormat = format
      options.byteCount = options.byteCount ?? backing.byteCount
      try DiskImageError.block(backingPath) { () throws(BlockError) in try backing.close() }
    }
    guard let byteCount = options.byteCount else {
      throw DiskImageError(path: path, .invalid("a new image needs a size, as in --size 10G"))
    }
    guard byteCount % 512 == 0, byteCount <= UInt64(Int64.max) else {
      throw DiskImageError(path: path, .invalid("\(byteCount) bytes are not whole sectors of 512"))
    }
    let file = try DiskImageError.host(path) { () throws(HostError) in
      try ImageFile(creating: path)
    }
    do throws(DiskImageProblem) {
      try fill(file, options, byteCount)
      file.unlock()
    } catch {
      // Half an image is of no use to anybody.
      try? ImageFile.remove(path: path)
      throw DiskImageError(path: path, error)
    }
  }

  private static func fill(
    _ file: ImageFile, _ options: ImageOptions, _ byteCount: UInt64
  ) throws(DiskImageProblem) {
    if options.format == .qcow2 {
      let creation = try Qcow2Creation(options, byteCount: byteCount)
      try DiskImageProblem.block { () throws(BlockError) in try creation.write(to: file) }
      guard options.preallocation != .off else { return }
      let disk = try Qcow2Disk(storage: file, backing: nil, isReadOnly: false)
      try DiskImageProblem.block { () throws(BlockError) in
        try disk.preallocate(options.preallocation)
        try disk.finish()
      }
    } else {
      guard options.preallocation != .metadata else {
        throw .invalid("a raw image has no metadata: use --preallocation falloc or full")
      }
      try DiskImageProblem.block { () throws(BlockError) in
        try file.attempt { (file) throws(HostError) in try file.resize(to: byteCount) }
        try file.preallocate(options.preallocation, 0, byteCount)
        try file.barrier()
      }
    }
  }
}

extension ImageStorage {
  /// Sets space aside for a range, which reads as zeroes before and after.
  func preallocate(
    _ preallocation: ImageOptions.Preallocation, _ offset: UInt64, _ byteCount: UInt64
  ) throws(BlockError) {
    guard byteCount > 0 else { return }
    switch preallocation {
    case .off, .metadata: break
    case .falloc:
      try attempt { (storage) throws(HostError) in
        try storage.reserve(at: offset, byteCount: byteCount)
      }
    case .full:
      let zeroes = MemorySegments(zeroed: Int(min(byteCount, 1 << 20)))
      var done: UInt64 = 0
      while done < byteCount {
        let count = min(byteCount - done, UInt64(zeroes.byteCount))
        try attempt { (storage) throws(HostError) in
          try storage.write(from: zeroes.slice(from: 0, count: Int(count)), at: offset + done)
        }
        done += count
      }
    }
  }
}

extension Qcow2Disk {
  /// Gives all guest clusters of a new image their places.
  func preallocate(_ preallocation: ImageOptions.Preallocation) throws(BlockError) {
    var cluster: UInt64 = 0
    let end = geometry.clusters(for: byteCount)
    while cluster < end {
      let most = min(Self.mostClusters, end - cluster)
      let run = try state.withLock { (state) throws(BlockError) in
        try state.beginChanges()
        _ = try state.ownTable(of: cluster)
        let run = try state.refcounts.allocate(upTo: most)
        for index in 0..<run.count {
          let host = geometry.offset(of: run.start + index)
          try state.set(.data(host: host, isOwned: true), of: cluster + index)
        }
        return run
      }
      let fileEnd = geometry.offset(of: run.end)
      try storage.attempt { (storage) throws(HostError) in
        if try storage.byteCount() < fileEnd { try storage.resize(to: fileEnd) }
      }
      try storage.preallocate(
        preallocation, geometry.offset(of: run.start), run.count * geometry.clusterByteCount)
      cluster += run.count
      if state.withLock({ $0.needsCommit }) { try commit() }
    }
  }
}
