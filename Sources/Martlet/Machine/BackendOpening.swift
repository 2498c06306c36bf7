import DeviceModel
import DiskImages
import FileSharing
import FoundationEssentials

extension VirtioBlockDeviceConfiguration {
  /// Opens and locks the image, and its backing files.
  func open() throws(ConfigurationError) -> any BlockBackend {
    let path = imageURL.path
    do throws(DiskImageError) {
      guard isSnapshot, !isReadOnly else {
        return try DiskImage.open(path: path, format: format, isReadOnly: isReadOnly)
      }
      return try DiskImage.openTemporary(
        path: path, format: format,
        temporaryDirectory: FileManager.default.temporaryDirectory.path)
    } catch {
      if error.problem == .inUse { throw .diskImageInUse(path: error.path) }
      throw .unusableDiskImage(reason: "\(error)")
    }
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
