import ArgumentParser

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

  /// Complains about what nobody took.
  func finish(_ what: String) throws {
    guard let rest = options.first else { return }
    throw ValidationError("'\(rest.name)' is no option of \(what)")
  }
}
