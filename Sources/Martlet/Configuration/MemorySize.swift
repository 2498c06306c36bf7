/// An amount of memory as people write it: `512M`, `2G`, `2097152`.
public struct MemorySize: Hashable, Sendable {
  public var byteCount: UInt64

  public init(_ byteCount: UInt64) { self.byteCount = byteCount }

  /// A decimal number of bytes, or of the power of 1,024 that the letter after it names: K, M, G or T,
  /// in either case, with or without `iB` or `B`.
  public init(parsing text: String) throws(MemorySizeError) {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }) else {
      throw .notANumber(text)
    }
    let shift: UInt64
    switch text.dropFirst(digits.count).lowercased() {
    case "", "b": shift = 0
    case "k", "kb", "kib": shift = 10
    case "m", "mb", "mib": shift = 20
    case "g", "gb", "gib": shift = 30
    case "t", "tb", "tib": shift = 40
    case let unit: throw .unknownUnit(unit, in: text)
    }
    guard let number = UInt64(digits) else { throw .tooLarge(text) }
    let (bytes, overflow) = number.multipliedReportingOverflow(by: 1 << shift)
    guard !overflow else { throw .tooLarge(text) }
    byteCount = bytes
  }
}

/// Why a text is no amount of memory.
public enum MemorySizeError: Error, Hashable, Sendable {
  case notANumber(String)
  case unknownUnit(String, in: String)
  case tooLarge(String)
}

extension MemorySizeError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .notANumber(let text):
      "'\(text)' does not start with a number: write for example 512M or 2G"
    case .unknownUnit(let unit, let text):
      "'\(unit)' in '\(text)' is no unit: use K, M, G or T, for example 512M or 2G"
    case .tooLarge(let text):
      "'\(text)' is more than can be counted in 64 bits"
    }
  }
}

extension MemorySize: CustomStringConvertible {
  /// In the largest unit that loses nothing.
  public var description: String {
    for (shift, unit) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")] {
      let size = UInt64(1) << shift
      if byteCount >= size && byteCount % size == 0 { return "\(byteCount / size)\(unit)" }
    }
    return "\(byteCount) bytes"
  }
}
