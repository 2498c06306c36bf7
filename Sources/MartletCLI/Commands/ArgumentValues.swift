public import ArgumentParser
import EngineInterface
public import Martlet

extension EngineChoice: ExpressibleByArgument {}
extension CPUModel: ExpressibleByArgument {}
extension HypervisorInterface: ExpressibleByArgument {}
extension ResetAction: ExpressibleByArgument {}

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

/// Where a serial port leads.
enum SerialDestination: Hashable {
  /// Standard input and output.
  case terminal
  case none
  /// Output only.
  case file(String)

  static func argument(_ text: String) throws -> SerialDestination {
    switch text {
    case "terminal", "stdio": return .terminal
    case "none": return .none
    default:
      guard text.hasPrefix("file:"), text.count > 5 else {
        throw ValidationError("'\(text)' is no serial port: use terminal, none or file:PATH")
      }
      return .file(String(text.dropFirst(5)))
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
