public import DeviceModel
public import HostSystem

/// Why an image cannot be opened, made or changed. The description says what to do.
public struct DiskImageError: Error, Hashable, Sendable {
  public var path: String
  public var problem: DiskImageProblem

  public init(path: String, _ problem: DiskImageProblem) {
    self.path = path
    self.problem = problem
  }
}

public enum DiskImageProblem: Error, Hashable, Sendable {
  case host(HostError)
  /// Another process, or another disk of this one, has the file open in a way that excludes this one.
  case inUse
  /// The file is not of the format that was asked for.
  case otherFormat(expected: ImageFormat)
  /// By its first bytes alone it is a qcow2 image, and one that has another file read: a guest may have written them.
  case unclearFormat
  case unsupported(String)
  /// The image contradicts itself at this byte of the file.
  case damaged(String, imageOffset: UInt64)
  /// The image says of itself that it is damaged, so it can only be read.
  case markedCorrupt
  /// The image is, through others, its own backing file.
  case backingLoop
  case backingTooDeep
  /// What was asked for makes no sense; the text says why.
  case invalid(String)
  case noSpace
  case exists

  public init(_ error: HostError) {
    self =
      error.isLocked
      ? .inUse : error.isOutOfSpace ? .noSpace : error.errno == 17 ? .exists : .host(error)
  }

  public init(_ error: BlockError) {
    switch error {
    case .host(let error): self.init(error)
    case .noSpace: self = .noSpace
    case .corrupt(let offset):
      self = .damaged("its tables contradict each other", imageOffset: offset)
    case .outOfRange: self = .invalid("a request beyond the end of the disk")
    case .readOnly: self = .invalid("the image is open for reading only")
    case .unsupported: self = .unsupported("what was asked of it")
    }
  }
}

extension DiskImageProblem {
  static func block<Result>(
    _ body: () throws(BlockError) -> Result
  ) throws(DiskImageProblem) -> Result {
    do throws(BlockError) { return try body() } catch { throw DiskImageProblem(error) }
  }
}

extension DiskImageError: CustomStringConvertible {
  public var description: String {
    switch problem {
    case .host(let error): "\(path) cannot be used (\(error)): check the path and its permissions"
    case .inUse:
      "\(path) is in use: stop the machine or tool that has it open, or open it read-only in both"
    case .otherFormat(let format):
      "\(path) is not a \(format) image: leave the format out to have it detected"
    case .unclearFormat:
      """
      \(path) begins like a qcow2 image with a backing file and is not called like one: say which it is, with \
      format=qcow2 or format=raw
      """
    case .unsupported(let feature):
      "\(path) uses \(feature), which Martlet does not support: convert it with `qemu-img convert`"
    case .damaged(let what, let offset):
      "\(path) is damaged (\(what), byte \(offset) of the file): try `martlet image check --repair all \(path)`"
    case .markedCorrupt:
      "\(path) is marked as corrupt: open it read-only, or repair it with `martlet image check --repair all \(path)`"
    case .backingLoop: "\(path) is its own backing file: correct it with `qemu-img rebase -u`"
    case .backingTooDeep:
      "\(path) has too many backing files behind each other: convert it to one image"
    case .invalid(let reason): "\(path): \(reason)"
    case .noSpace: "\(path) cannot be written: the disk or the quota is full"
    case .exists: "\(path) exists already: remove it, or choose another name"
    }
  }
}
