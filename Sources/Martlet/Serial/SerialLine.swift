import HostSystem

/// The wire between a serial port and its attachment, with one thread that carries both directions, so
/// that a slow attachment never holds up a virtual CPU that talks to other devices.
final class SerialLine: Sendable {
  private struct Queues {
    var output: [UInt8] = []
    var input: [UInt8] = []
    /// The port may take input: it did not refuse any since this was set.
    var portHasRoom = true
    /// The port was told that it must wait, and not yet that it may go on.
    var isOutputHeldBack = false
    var isClosing = false
  }

  private static let capacity = 1 << 16

  private let attachment: any SerialPortAttachment
  private let queues = Monitor(Queues())
  private let thread = Monitor<HostThread?>(nil)

  init(to attachment: any SerialPortAttachment) { self.attachment = attachment }

  /// Takes one byte from the port, or returns `false`: `resumeOutput` then follows. Never blocks.
  func write(_ byte: UInt8) -> Bool { write(CollectionOfOne(byte)) == 1 }

  /// Takes bytes from the port, and returns how many: if that is not all, `resumeOutput` follows. Never blocks.
  func write(_ bytes: some Collection<UInt8>) -> Int {
    let (taken, wasEmpty) = queues.withLock { queues in
      let taken = min(bytes.count, max(0, Self.capacity - queues.output.count))
      if taken < bytes.count { queues.isOutputHeldBack = true }
      let wasEmpty = queues.output.isEmpty
      queues.output += bytes.prefix(taken)
      return (taken, wasEmpty && taken > 0)
    }
    if wasEmpty { queues.notify() }
    return taken
  }

  /// The port refused input before and has room again. Never blocks.
  func portHasRoom() { queues.update { $0.portHasRoom = true } }

  /// Starts to carry bytes.
  ///
  /// - Parameters:
  ///   - submit: hands input to the port and returns how many bytes it took.
  ///   - resumeOutput: tells the port that it may write again.
  func open(
    submit: @escaping @Sendable ([UInt8]) -> Int, resumeOutput: @escaping @Sendable () -> Void
  ) throws {
    let thread = try HostThread(name: "serial") { self.carry(submit, resumeOutput) }
    self.thread.withLock { $0 = thread }
    try attachment.connect { bytes in self.enqueue(bytes) }
  }

  /// Carries what is still on its way out, then ends.
  func close() {
    queues.update { $0.isClosing = true }
    attachment.disconnect()
    self.thread.withLock { $0.take() }?.join()
  }

  /// Waits while the port is far behind.
  private func enqueue(_ bytes: [UInt8]) {
    queues.wait { queues -> Void? in
      guard queues.input.count < Self.capacity || queues.isClosing else { return nil }
      queues.input += bytes
      return ()
    }
    queues.notify()
  }

  private enum Work {
    case send([UInt8], resumes: Bool)
    case receive([UInt8])
    case end
  }

  private func carry(_ submit: ([UInt8]) -> Int, _ resumeOutput: () -> Void) {
    while true {
      switch queues.wait(until: Self.nextWork) {
      case .send(let bytes, let resumes):
        attachment.send(bytes)
        if resumes { resumeOutput() }
      case .receive(let bytes):
        let count = submit(bytes)
        queues.update { queues in
          queues.input.removeFirst(min(max(0, count), queues.input.count))
          if count >= bytes.count { queues.portHasRoom = true }
        }
      case .end:
        return
      }
    }
  }

  private static func nextWork(_ queues: inout Queues) -> Work? {
    if !queues.output.isEmpty {
      let work = Work.send(queues.output, resumes: queues.isOutputHeldBack)
      queues.output = []
      queues.isOutputHeldBack = false
      return work
    }
    if queues.isClosing { return .end }
    if !queues.input.isEmpty && queues.portHasRoom {
      // Set again by the port when it has room, which may be before `submit` returns.
      let chunk = Array(queues.input.prefix(256))
      queues.portHasRoom = false
      return .receive(chunk)
    }
    return nil
  }
}
