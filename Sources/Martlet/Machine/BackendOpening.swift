import DeviceModel
import DiskImages
import FileSharing
import FoundationEssentials
import HostSystem
import MachineTypes
import Networks

extension VirtioBlockDeviceConfiguration {
  /// The disk with its limits.
  func openLimited(
    clock: any MachineClock, report: @escaping @Sendable (NBDEvent) -> Void
  ) throws(ConfigurationError) -> any BlockBackend {
    let disk = try open(report: report)
    if rateLimits.isUnlimited { return disk }
    return ThrottledDisk(disk, limits: rateLimits, clock: clock)
  }

  /// Opens and locks the image, or connects to the server that has it.
  ///
  /// - Parameter report: told what happens to connections later on.
  func open(
    report: @escaping @Sendable (NBDEvent) -> Void = { _ in }
  ) throws(ConfigurationError) -> any BlockBackend {
    if !imageURL.isFileURL {
      return try connect(to: .address(imageURL.absoluteString), report)
    }
    if let foreign = try foreignFormat() {
      guard let program = HostProgram.path(of: "qemu-nbd") else {
        throw .missingProgram(
          "qemu-nbd", package: "qemu-utils", purpose: "open \(foreign.driver) images")
      }
      let server = foreign.server(
        program: program, imagePath: imageURL.path, isReadOnly: isReadOnly || isSnapshot)
      return try connect(to: server, report)
    }
    return try openNative()
  }

  private func connect(
    to server: NBDServer, _ report: @escaping @Sendable (NBDEvent) -> Void
  ) throws(ConfigurationError) -> any BlockBackend {
    let isOverlaid = isSnapshot && !isReadOnly
    let image: NBDImage
    do {
      image = try NBDImage(server, isReadOnly: isReadOnly || isOverlaid, report: report)
    } catch {
      throw .remoteDiskUnavailable("\(error)")
    }
    guard isOverlaid else { return image }
    do {
      return try TemporaryOverlay(image, temporaryDirectory: temporaryDirectory)
    } catch {
      throw .unusableDiskImage(reason: "\(temporaryDirectory) takes no temporary file: \(error)")
    }
  }

  private var temporaryDirectory: String { FileManager.default.temporaryDirectory.path }

  /// The format that is not one of ours, if it is one.
  private func foreignFormat() throws(ConfigurationError) -> ForeignFormat? {
    let path = imageURL.path
    if let format {
      return ["raw", "qcow2"].contains(format) ? nil : ForeignFormat(driver: format)
    }
    let detected: (format: ForeignFormat, nameAgrees: Bool)?
    do throws(HostError) {
      detected = try ForeignFormat.detect(path: path)
    } catch {
      throw failure(error)
    }
    guard let detected else { return nil }
    guard detected.nameAgrees else {
      throw .unclearDiskFormat(path: path, format: detected.format.driver)
    }
    return detected.format
  }

  private func failure(_ error: HostError) -> ConfigurationError {
    let path = imageURL.path
    if error.isLocked { return .diskImageInUse(path: path) }
    return .unreadableFile(what: "disk image", path: path, reason: "\(error)")
  }

  private func openNative() throws(ConfigurationError) -> any BlockBackend {
    let path = imageURL.path
    let format = self.format.flatMap(ImageFormat.init(rawValue:))
    do throws(DiskImageError) {
      guard isSnapshot, !isReadOnly else {
        return try DiskImage.open(path: path, format: format, isReadOnly: isReadOnly)
      }
      return try DiskImage.openTemporary(
        path: path, format: format, temporaryDirectory: temporaryDirectory)
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

extension VirtioNetworkDeviceConfiguration {
  /// The network with its limits.
  func openLimited(clock: any MachineClock) throws -> any NetworkBackend {
    let network = try attachment.open()
    if receiveLimits.isUnlimited && sendLimits.isUnlimited { return network }
    return ThrottledNetwork(
      network, receiving: receiveLimits, sending: sendLimits, clock: clock)
  }
}
