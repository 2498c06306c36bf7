/// The formats of images that Martlet itself reads and writes.
public enum ImageFormat: String, Hashable, Sendable, CaseIterable, CustomStringConvertible {
  /// The disk byte by byte.
  case raw
  case qcow2

  public var description: String { rawValue }
}
