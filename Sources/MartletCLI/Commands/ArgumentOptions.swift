import ArgumentParser
import DeviceModel
import Martlet

/// An argument of the form `KIND[,NAME=VALUE]…`.
struct ArgumentOptions {
  let kind: String
  private var options: [(name: String, value: String)] = []

  init(_ text: String) throws {
    let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    kind = parts[0]
    for part in parts.dropFirst() {
      let words = part.split(separator: "=", maxSplits: 1).map(String.init)
      guard words.count == 2 else {
        throw ValidationError("'\(part)' in '\(text)' is no option: write NAME=VALUE")
      }
      options.append((words[0], words[1]))
    }
  }

  /// The values of all options of this name, which are then done with.
  mutating func takeAll(_ name: String) -> [String] {
    defer { options.removeAll { $0.name == name } }
    return options.filter { $0.name == name }.map(\.value)
  }

  /// The value of the option of this name; `nil` if it is not there.
  mutating func take(_ name: String) throws -> String? {
    let values = takeAll(name)
    guard values.count <= 1 else { throw ValidationError("\(name)= is there twice") }
    return values.first
  }

  mutating func takeSwitch(_ name: String) throws -> Bool? {
    switch try take(name) {
    case nil: return nil
    case "on": return true
    case "off": return false
    case let value?: throw ValidationError("\(name)=\(value) is neither \(name)=on nor \(name)=off")
    }
  }

  /// A limit of the options NAME= and NAME-burst=; `nil` if they are not there.
  ///
  /// - Parameter inBytes: sizes such as 10M may be written.
  mutating func takeLimit(_ name: String, inBytes: Bool) throws -> RateLimit? {
    func number(_ text: String) throws -> UInt64 {
      let value = inBytes ? try MemorySize.argument(text).byteCount : UInt64(text)
      guard let value, value > 0 else {
        throw ValidationError("'\(text)' is no rate: write for example \(name)=1000")
      }
      return value
    }
    let rate = try take(name).map(number)
    let burst = try take("\(name)-burst").map(number)
    guard let rate else {
      if burst == nil { return nil }
      throw ValidationError("\(name)-burst= needs \(name)=")
    }
    return RateLimit(perSecond: rate, burst: burst)
  }

  /// Complains about what nobody took.
  func finish(_ what: String) throws {
    guard let rest = options.first else { return }
    throw ValidationError("'\(rest.name)' is no option of \(what)")
  }
}
