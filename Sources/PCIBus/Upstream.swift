/// What the bridges above a function let through.
struct Upstream: Equatable, Sendable {
  /// Memory addresses that reach the function; `nil` for all.
  var windows: [ClosedRange<UInt64>]?
  /// The function's own accesses to memory get through.
  var passesMastering: Bool

  /// On bus 0.
  static let host = Upstream(windows: nil, passesMastering: true)

  func passes(_ range: ClosedRange<UInt64>) -> Bool {
    windows?.contains { $0.contains(range.lowerBound) && $0.contains(range.upperBound) } ?? true
  }

  /// What is left behind one more bridge.
  func behind(windows own: [ClosedRange<UInt64>], passesMastering: Bool) -> Upstream {
    let left = own.flatMap { window in
      guard let windows else { return [window] }
      return windows.filter { $0.overlaps(window) }.map { $0.clamped(to: window) }
    }
    return Upstream(
      windows: left, passesMastering: self.passesMastering && passesMastering)
  }
}
