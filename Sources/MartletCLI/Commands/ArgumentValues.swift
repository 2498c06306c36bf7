public import ArgumentParser
import EngineInterface
import Foundation
import HostSystem
public import Martlet

extension EngineChoice: ExpressibleByArgument {}
extension CPUModel: ExpressibleByArgument {}
extension HypervisorInterface: ExpressibleByArgument {}
extension ResetAction: ExpressibleByArgument {}
extension VirtioTransport: ExpressibleByArgument {}

/// A guest-physical address: hexadecimal after `0x`, otherwise decimal.
struct GuestAddress: Hashable {
  var rawValue: UInt64

  init?(parsing text: String) {
    let lowercased = text.lowercased()
    let value =
      lowercased.hasPrefix("0x")
      ? UInt64(lowercased.dropFirst(2), radix: 16) : UInt64(lowercased)
    guard let value else { return nil }
    rawValue = value
  }

  static func argument(_ text: String) throws -> GuestAddress {
    guard let address = GuestAddress(parsing: text) else {
      throw ValidationError("'\(text)' is no address: write for example 0x1000000 or 16777216")
    }
    return address
  }
}

/// Where a serial port or a console port leads.
enum SerialDestination: Hashable {
  /// Standard input and output.
  case terminal
  case none
  /// Output only.
  case file(String)
  /// Whoever connects to this Unix socket.
  case socket(String)

  static func argument(_ text: String) throws -> SerialDestination {
    if let destination = SerialDestination(text) { return destination }
    throw ValidationError(
      "'\(text)' is no serial port: use terminal, none, file:PATH or socket:PATH")
  }

  init?(_ text: String) {
    let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
    switch (parts.first, parts.dropFirst().first) {
    case ("terminal", nil), ("stdio", nil): self = .terminal
    case ("none", nil): self = .none
    case ("file", let path?): self = .file(path)
    case ("socket", let path?): self = .socket(path)
    default: return nil
    }
  }

  /// - Parameter what: what messages call the port.
  func attachment(
    for what: String, onQuit: @escaping @Sendable () -> Void
  ) throws(ConfigurationError) -> (any SerialPortAttachment)? {
    switch self {
    case .none: return nil
    case .terminal: return ConsoleAttachment(onQuit: onQuit)
    case .socket(let path):
      return try UnixSocketSerialPortAttachment(url: URL(fileURLWithPath: path))
    case .file(let path):
      do {
        return FileDescriptorSerialPortAttachment(
          readingFrom: nil, writingTo: try HostFile.create(path: path))
      } catch {
        throw .unreadableFile(what: what, path: path, reason: "\(error)")
      }
    }
  }
}

extension MemorySize {
  static func argument(_ text: String) throws -> MemorySize {
    do { return try MemorySize(parsing: text) } catch { throw ValidationError("\(error)") }
  }
}

/// What `--trace` names.
struct TracedEvents: Hashable {
  private(set) var names: Set<String> = []

  private static let known: [String: ExecutionTrace.Events] = [
    "blocks": .blocks, "exits": .exits, "interrupts": .interrupts,
  ]

  var events: ExecutionTrace.Events {
    names.reduce(into: []) { $0.formUnion(Self.known[$1] ?? []) }
  }

  static func argument(_ text: String) throws -> TracedEvents {
    let names = text.split(separator: ",").map(String.init)
    guard !names.isEmpty, names.allSatisfy({ known[$0] != nil }) else {
      throw ValidationError(
        "'\(text)' cannot be traced: use blocks, exits, interrupts, or several with commas")
    }
    return TracedEvents(names: Set(names))
  }
}
