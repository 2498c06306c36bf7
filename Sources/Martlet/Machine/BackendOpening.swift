import DeviceModel
import DiskImages
import FileSharing
import FoundationEssentials
import HostSystem
import Networks

extension VirtioBlockDeviceConfiguration {
  /// Opens and locks the image.
  func open() throws(ConfigurationError) -> any BlockBackend {
    let path = imageURL.path
    var format: String?
    do throws(HostError) {
      let image = try RawImage(path: path, isReadOnly: isReadOnly || isSnapshot)
      format = try image.foreignFormat()
      if format == nil {
        guard isSnapshot, !isReadOnly else { return image }
        return try TemporaryOverlay(
          path: path, temporaryDirectory: FileManager.default.temporaryDirectory.path)
      }
    } catch {
      if error.isLocked { throw .diskImageInUse(path: path) }
      throw .unreadableFile(what: "disk image", path: path, reason: "\(error)")
    }
    throw .unsupportedDiskImage(path: path, format: format ?? "foreign")
  }
}

extension VirtioFileSystemDeviceConfiguration {
  func open() throws(ConfigurationError) -> SharedFolder {
    do {
      return try SharedFolder(path: directoryURL.path, options: options)
    } catch {
      throw .unreadableFile(
        what: "shared folder", path: directoryURL.path, reason: "\(error)")
    }
  }
}

extension VirtioSocketDeviceConfiguration {
  /// Begins to listen.
  func open() throws(ConfigurationError) -> UnixSocketBridge {
    do {
      return try UnixSocketBridge(path: socketURL.path)
    } catch {
      throw .cannotListen(path: socketURL.path, reason: "\(error)")
    }
  }
}
