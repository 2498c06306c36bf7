/// A name within a directory: one component of a path that leads down, of any bytes but `/` and NUL.
public struct FileName: Hashable, Sendable {
  // Ends with a NUL.
  private let characters: [CChar]

  /// The most bytes that a name has (NAME_MAX).
  public static let mostBytes = 255

  /// `nil` for what is not one: empty, `.`, `..`, with `/` or NUL, or longer than 255 bytes.
  public init?(_ bytes: some Collection<UInt8>) {
    guard (1...Self.mostBytes).contains(bytes.count),
      !bytes.contains(where: { $0 == 0 || $0 == UInt8(ascii: "/") }),
      !bytes.allSatisfy({ $0 == UInt8(ascii: ".") }) || bytes.count > 2
    else { return nil }
    characters = bytes.map { CChar(bitPattern: $0) } + [0]
  }

  public var bytes: [UInt8] { characters.dropLast().map { UInt8(bitPattern: $0) } }

  /// For system calls: the name, ended by a NUL.
  @safe func withCharacters<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
    // SAFETY: an array that is not empty has a base address; the pointer stays within the call.
    unsafe characters.withUnsafeBufferPointer { unsafe body($0.baseAddress!) }
  }
}

extension FileName: CustomStringConvertible {
  public var description: String { String(decoding: bytes, as: UTF8.self) }
}
