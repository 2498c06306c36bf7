/// The name of an extended attribute in the `user.` namespace. Attributes of others give files powers on the host.
public struct AttributeName: Hashable, Sendable {
  // Ends with a NUL.
  private let characters: [CChar]

  /// The most bytes of a name (XATTR_NAME_MAX).
  public static let mostBytes = 255

  /// `nil` for names of other namespaces, with a NUL or longer than 255 bytes.
  public init?(_ bytes: some Collection<UInt8>) {
    let namespace = "user.".utf8
    guard bytes.starts(with: namespace), bytes.count > namespace.count,
      bytes.count <= Self.mostBytes, !bytes.contains(0)
    else { return nil }
    characters = bytes.map { CChar(bitPattern: $0) } + [0]
  }

  /// For system calls: the name, ended by a NUL.
  @safe func withCharacters<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
    // SAFETY: an array that is not empty has a base address; the pointer stays within the call.
    unsafe characters.withUnsafeBufferPointer { unsafe body($0.baseAddress!) }
  }
}
