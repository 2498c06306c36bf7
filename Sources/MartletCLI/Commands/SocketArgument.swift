import ArgumentParser
import Foundation
import Martlet

/// `--vsock path=SOCKET[,cid=NUMBER]`
struct SocketArgument: Equatable {
  var path: String
  var guestCID: UInt32 = 3

  static func argument(_ text: String) throws -> SocketArgument {
    // All that there is to say has a name.
    var options = try ArgumentOptions("vsock," + text)
    guard let path = try options.take("path") else {
      throw ValidationError(
        "vsock needs the path of a socket to listen at, as in --vsock cid=3,path=/tmp/vm.vsock")
    }
    var socket = SocketArgument(path: path)
    if let cid = try options.take("cid") {
      guard let number = UInt32(cid) else {
        throw ValidationError("'\(cid)' is no address of a guest on vsock: write for example cid=3")
      }
      socket.guestCID = number
    }
    try options.finish("vsock: there are path=SOCKET and cid=NUMBER")
    return socket
  }

  var configuration: VirtioSocketDeviceConfiguration {
    VirtioSocketDeviceConfiguration(guestCID: guestCID, socketURL: URL(fileURLWithPath: path))
  }
}
