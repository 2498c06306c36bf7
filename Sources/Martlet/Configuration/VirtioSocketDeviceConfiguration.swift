public import FoundationEssentials

/// A virtio socket device (vsock): stream connections between programs of the guest and of the host, without a
/// network.
///
/// Somebody of the host connects to the Unix socket at `socketURL`, says `CONNECT <port>` and a newline, and hears
/// `OK <host port>` once a program of the guest takes the connection. A program of the guest that connects to
/// port N of the host (address 2) reaches the Unix socket whose path is that of `socketURL` with `_N` behind it.
public struct VirtioSocketDeviceConfiguration: Sendable {
  /// The guest's address: 3…4,294,967,294.
  public var guestCID: UInt32
  /// Where the machine listens while it runs.
  public var socketURL: URL

  public init(guestCID: UInt32 = 3, socketURL: URL) {
    self.guestCID = guestCID
    self.socketURL = socketURL
  }
}
