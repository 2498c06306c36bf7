/// What stands behind a file-sharing device: a server of FUSE messages (Linux's
/// include/uapi/linux/fuse.h). From any thread; requests may complete in any order.
public protocol FileSharingBackend: AnyObject, Sendable {
  /// Begins a request; never blocks. `completion` is called once with the answer's bytes, none if the
  /// request has none, on a thread of the backend's: never from within this call, whose caller may hold locks.
  ///
  /// - Parameter replyLimit: the most bytes that the answer may have.
  func submit(
    _ request: [UInt8], replyLimit: Int, completion: @escaping @Sendable ([UInt8]) -> Void)

  /// The guest has gone: drops the requests that have not begun, without a completion, waits for those that
  /// have, and forgets the files that the guest knew and had open. Completions are not waited for: they may
  /// need locks that the caller holds.
  func reset()

  /// Waits until all requests have completed. Once.
  func close()
}
