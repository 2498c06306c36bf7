import HostSystem
import Synchronization

/// Connects a serial line to file descriptors: standard input and output, pipes, a pseudo-terminal.
public final class FileDescriptorSerialPortAttachment: SerialPortAttachment {
  private let input: Int32?
  private let output: Int32?
  private let reader = Mutex<InputReader?>(nil)

  /// The descriptors stay the caller's, who must keep them open while the machine runs.
  ///
  /// - Parameters:
  ///   - input: read from, on a thread of its own; `nil` for a silent line.
  ///   - output: written to; `nil` to drop what the guest sends.
  public init(readingFrom input: Int32?, writingTo output: Int32?) {
    self.input = input
    self.output = output
  }

  public func send(_ bytes: [UInt8]) {
    // A reader that went away does not stop the machine.
    if let output { try? HostFile.write(bytes, to: output) }
  }

  public func connect(receive: @escaping @Sendable ([UInt8]) -> Void) throws {
    guard let input else { return }
    let reader = try InputReader(file: input, receive: receive)
    self.reader.withLock { $0 = reader }
  }

  public func disconnect() {
    let reader = reader.withLock { $0.take() }
    reader?.stop()
  }
}

extension SerialPortAttachment where Self == FileDescriptorSerialPortAttachment {
  /// Standard input and standard output.
  public static var standardIO: FileDescriptorSerialPortAttachment {
    FileDescriptorSerialPortAttachment(
      readingFrom: Terminal.standardInput, writingTo: Terminal.standardOutput)
  }
}
