/// Why a device refuses a saved state.
public struct RestoreError: Error, Hashable, Sendable {
  public var device: String
  public var reason: String

  public init(device: String, reason: String) {
    self.device = device
    self.reason = reason
  }
}

extension RestoreError: CustomStringConvertible {
  public var description: String { "the saved state of the \(device) is invalid: \(reason)" }
}

/// A device whose whole state is one plain value.
public protocol SavableDevice: Sendable {
  associatedtype State: Codable & Equatable & Sendable
  func save() -> State
  /// Takes over `state`; on an error the device stays as it was.
  mutating func restore(_ state: State) throws(RestoreError)
}
