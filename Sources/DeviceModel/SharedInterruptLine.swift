import Synchronization

/// A wire that several devices drive; asserted while any of them asserts it.
public final class SharedInterruptLine: Sendable {
  private struct Drivers: Sendable {
    var count: UInt64
    var asserted: UInt64
  }

  private let line: any InterruptLine
  private let drivers = Mutex(Drivers(count: 0, asserted: 0))

  public init(_ line: any InterruptLine) { self.line = line }

  /// Makes one more device's end of the wire; at most 64.
  public func makeInput() -> any InterruptLine {
    let number = drivers.withLock { drivers in
      precondition(drivers.count < 64)
      defer { drivers.count += 1 }
      return drivers.count
    }
    return Input(shared: self, bit: 1 << number)
  }

  private struct Input: InterruptLine {
    let shared: SharedInterruptLine
    let bit: UInt64
    func set(_ isAsserted: Bool) { shared.drive(bit, isAsserted) }
  }

  private func drive(_ bit: UInt64, _ isAsserted: Bool) {
    drivers.withLock {
      $0.asserted = isAsserted ? $0.asserted | bit : $0.asserted & ~bit
      line.set($0.asserted != 0)
    }
  }
}
