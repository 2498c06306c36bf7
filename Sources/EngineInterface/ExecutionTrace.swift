/// What the software engine reports while it executes, line by line. It changes nothing that the guest sees.
public struct ExecutionTrace: Sendable {
  public struct Events: OptionSet, Sendable {
    public var rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Each block that is translated.
    @inlinable public static var blocks: Self { Self(rawValue: 1 << 0) }
    /// Each exit to the machine.
    @inlinable public static var exits: Self { Self(rawValue: 1 << 1) }
    /// Each exception and interrupt that is delivered to the guest.
    @inlinable public static var interrupts: Self { Self(rawValue: 1 << 2) }
  }

  public var events: Events
  /// Takes a line without its end, on the thread of the virtual CPU that it is about.
  public var write: @Sendable (String) -> Void

  public init(events: Events, write: @escaping @Sendable (String) -> Void) {
    self.events = events
    self.write = write
  }
}
