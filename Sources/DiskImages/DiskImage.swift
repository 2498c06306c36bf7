public import DeviceModel
import HostSystem

/// Opening disk images of all formats, with what lies behind them.
public enum DiskImage {
  /// Opens an image for a machine, and locks all of its files: exclusively what is written, shared what is only read.
  ///
  /// - Parameters:
  ///   - format: `nil` to have it told by the first bytes.
  ///   - isReadOnly: nothing is written, and others may read the image at the same time.
  public static func open(
    path: String, format: ImageFormat? = nil, isReadOnly: Bool
  ) throws(DiskImageError) -> any BlockBackend {
    let isCertain = format != nil
    let format = try known(format, path)
    if format == .raw {
      return try DiskImageError.host(path) { () throws(HostError) in
        try RawImage(path: path, isReadOnly: isReadOnly)
      }
    }
    let disk = try openLayer(
      path, format, isReadOnly: isReadOnly, isCertain: isCertain, above: [])
    return try DiskImageError.host(path) { () throws(HostError) in try ThreadedImage(disk) }
  }

  /// Opens an image that is only read; what is written goes to a temporary file, and away with the disk.
  ///
  /// - Parameter directory: where the temporary file lies, without a name.
  public static func openTemporary(
    path: String, format: ImageFormat? = nil, temporaryDirectory directory: String
  ) throws(DiskImageError) -> any BlockBackend {
    let base = try open(path: path, format: format, isReadOnly: true)
    return try DiskImageError.host(directory) { () throws(HostError) in
      try TemporaryOverlay(base, temporaryDirectory: directory)
    }
  }

  /// What an image is by its first bytes; what has no signature is raw.
  public static func detectFormat(path: String) throws(DiskImageError) -> ImageFormat {
    let (foreign, start) = try DiskImageError.host(path) { () throws(HostError) in
      let start = MemorySegments(zeroed: Qcow2Header.magic.count)
      let file = try ImageFile(path: path, isReadOnly: true)
      defer { file.unlock() }
      try file.read(into: start, at: 0)
      return (try ForeignFormat.detect(path: path), start.bytes())
    }
    if let foreign {
      throw DiskImageError(path: path, .unsupported("the format \(foreign.format.driver)"))
    }
    return start == Qcow2Header.magic ? .qcow2 : .raw
  }

  static func known(
    _ format: ImageFormat?, _ path: String
  ) throws(DiskImageError) -> ImageFormat {
    if let format { return format }
    return try detectFormat(path: path)
  }

  /// An image for tools, whose requests are carried out where they are made.
  static func openSynchronous(
    path: String, format: ImageFormat? = nil, isReadOnly: Bool
  ) throws(DiskImageError) -> any SynchronousDisk {
    try openLayer(
      path, try known(format, path), isReadOnly: isReadOnly, isCertain: format != nil, above: [])
  }

  // MARK: Backing files

  /// The most backing files behind one another.
  private static let mostLayers = 64

  /// - Parameters:
  ///   - isCertain: somebody said that this is the format. Otherwise its first bytes do, which may be a guest's that had
  ///     a raw image: such an image must not name other files of the host, unless it is called like a qcow2 image.
  ///   - above: the files of the images whose backing file this is.
  private static func openLayer(
    _ path: String, _ format: ImageFormat, isReadOnly: Bool, isCertain: Bool,
    above: [FileIdentity]
  ) throws(DiskImageError) -> any SynchronousDisk {
    let identity = try DiskImageError.host(path) { () throws(HostError) in
      try FileIdentity(path: path)
    }
    guard !above.contains(identity) else { throw DiskImageError(path: path, .backingLoop) }
    guard above.count < mostLayers else { throw DiskImageError(path: path, .backingTooDeep) }
    let storage = try DiskImageError.host(path) { () throws(HostError) in
      try ImageFile(path: path, isReadOnly: isReadOnly)
    }
    if format == .raw {
      return try DiskImageError.host(path) { () throws(HostError) in try RawDisk(storage) }
    }
    let header = try DiskImageError.at(path) { () throws(DiskImageProblem) in
      try Qcow2Header(reading: storage)
    }
    var backing: (any SynchronousDisk)?
    if let file = try backingFile(of: header, at: path) {
      guard isCertain || path.hasSuffix(".qcow2") || path.hasSuffix(".qcow") else {
        throw DiskImageError(path: path, .unclearFormat)
      }
      backing = try openLayer(
        file.path, try known(file.format, file.path), isReadOnly: true,
        isCertain: file.format != nil, above: above + [identity])
    }
    return try DiskImageError.at(path) { () throws(DiskImageProblem) in
      try Qcow2Disk(storage: storage, backing: backing, isReadOnly: isReadOnly)
    }
  }

  /// Where an image's backing file is, and its format if the image names it.
  static func backingFile(
    of header: Qcow2Header, at path: String
  ) throws(DiskImageError) -> (path: String, format: ImageFormat?)? {
    guard let name = header.backingFile else { return nil }
    var format: ImageFormat?
    if let text = header.backingFormat {
      format = ImageFormat(rawValue: text)
      guard format != nil else {
        throw DiskImageError(path: path, .unsupported("a backing file of the format \(text)"))
      }
    }
    return (try resolve(name, relativeTo: path), format)
  }

  /// Names are relative to the folder of the image that they are in.
  static func resolve(
    _ name: String, relativeTo image: String
  ) throws(DiskImageError) -> String {
    var name = name[...]
    if name.hasPrefix("file:") {
      name = name.dropFirst(5)
    } else if let colon = name.firstIndex(of: ":"), !name[..<colon].contains("/") {
      // As in json:{…} and nbd://…
      throw DiskImageError(path: image, .unsupported("the backing file \(name)"))
    }
    guard !name.hasPrefix("/"), let slash = image.lastIndex(of: "/") else { return String(name) }
    return String(image[...slash] + name)
  }
}

extension DiskImageError {
  /// Runs `body` and says which file its failure is about.
  static func host<Result>(
    _ path: String, _ body: () throws(HostError) -> Result
  ) throws(DiskImageError) -> Result {
    do throws(HostError) {
      return try body()
    } catch {
      throw DiskImageError(path: path, DiskImageProblem(error))
    }
  }

  static func at<Result>(
    _ path: String, _ body: () throws(DiskImageProblem) -> Result
  ) throws(DiskImageError) -> Result {
    do throws(DiskImageProblem) {
      return try body()
    } catch {
      throw DiskImageError(path: path, error)
    }
  }

  static func block<Result>(
    _ path: String, _ body: () throws(BlockError) -> Result
  ) throws(DiskImageError) -> Result {
    try at(path) { () throws(DiskImageProblem) in try DiskImageProblem.block(body) }
  }
}
