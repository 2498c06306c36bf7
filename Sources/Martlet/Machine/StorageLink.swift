import DeviceModel

/// A disk as its machine handles it.
struct StorageLink: Sendable {
  private let backend: any BlockBackend
  private let submit: @Sendable (DeviceInput) -> Void

  /// - Parameter submit: hands something to the machine's input gate.
  init(_ backend: any BlockBackend, submit: @escaping @Sendable (DeviceInput) -> Void) {
    self.backend = backend
    self.submit = submit
  }

  /// Looks how large the disk has become, and tells the guest.
  func refreshSize() throws(BlockError) -> UInt64 {
    let byteCount = try backend.refreshByteCount()
    submit(.blockResize(byteCount: byteCount))
    return byteCount
  }
}
