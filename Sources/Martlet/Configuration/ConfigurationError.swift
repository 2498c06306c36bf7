import DeviceModel
import FoundationEssentials
import VirtioDevices

/// What is wrong with a configuration. The description says what to do.
public enum ConfigurationError: Error, Hashable, Sendable {
  case noBootLoader
  case cpuCountOutOfRange(Int)
  case memorySizeOutOfRange(UInt64)
  case memorySizeNotPageAligned(UInt64)
  case tooManySerialPorts(Int)
  case tooManyStorageDevices(Int)
  case tooManyNetworkDevices(Int)
  case tooManyShares(Int)
  case badShareTag(String)
  case shareTagTwice(String)
  case tooManyMemoryBalloons(Int)
  /// The memory that a guest is to keep is more than its machine has.
  case balloonTargetOutOfRange(UInt64, memorySize: UInt64)
  case tooManyConsoleDevices(Int)
  case consolePortCountOutOfRange(Int)
  case badConsolePortName(String)
  case consolePortNameTwice(String)
  /// No Unix socket can be made at the path.
  case cannotListen(path: String, reason: String)
  case tooManySocketDevices(Int)
  /// A socket device's address is one of those with a meaning of their own.
  case badGuestCID(UInt32)
  /// An address of a group of stations.
  case groupAddress(String)
  /// Another process, or another disk of this machine, has the image open for writing.
  case diskImageInUse(path: String)
  /// The image is of a format that cannot be opened, or damaged; the reason says what to do.
  case unusableDiskImage(reason: String)
  /// The first bytes of an image are another format's than its name, and perhaps written by a guest.
  case unclearDiskFormat(path: String, format: String)
  /// The text is no name of a format.
  case badDiskFormat(String)
  /// A program of another Debian package is needed to do this.
  case missingProgram(String, package: String, purpose: String)
  /// An NBD server cannot be reached, or does not have the disk; the text says why.
  case remoteDiskUnavailable(String)
  case commandLineContainsNUL
  /// A boot loader's URL is not one of a local file.
  case notAFileURL(String)
  /// `what` is "kernel" or "initial RAM disk".
  case unreadableFile(what: String, path: String, reason: String)
}

extension ConfigurationError: CustomStringConvertible {
  public var description: String {
    typealias Limits = VirtualMachineConfiguration
    switch self {
    case .noBootLoader:
      return "the machine has nothing to boot: set `bootLoader`, for example to a `LinuxBootLoader`"
    case .cpuCountOutOfRange(let count):
      return
        "\(count) is no number of CPUs that a machine can have: choose 1 to \(Limits.maximumCPUCount)"
    case .memorySizeOutOfRange(let size):
      return """
        a machine cannot have \(MemorySize(size)) of memory: choose \
        \(MemorySize(Limits.minimumMemorySize)) to \(MemorySize(Limits.maximumMemorySize))
        """
    case .memorySizeNotPageAligned(let size):
      return """
        \(size) bytes of memory are not whole pages: choose a multiple of 4096, for example \
        \((size &+ 4095) & ~4095)
        """
    case .tooManySerialPorts(let count):
      return "\(count) serial ports are too many: a PC has up to \(Limits.maximumSerialPortCount)"
    case .tooManyStorageDevices(let count):
      return
        "\(count) disks are too many: a machine has up to \(Limits.maximumStorageDeviceCount)"
    case .tooManyNetworkDevices(let count):
      return
        "\(count) networks are too many: a machine has up to \(Limits.maximumNetworkDeviceCount)"
    case .tooManyShares(let count):
      return """
        \(count) shares are too many: a machine has up to \
        \(Limits.maximumDirectorySharingDeviceCount)
        """
    case .badShareTag(let tag):
      return "'\(tag)' cannot be a share's tag: use 1 to 36 bytes"
    case .shareTagTwice(let tag):
      return "two shares have the tag '\(tag)': the guest could not tell them apart"
    case .tooManyMemoryBalloons(let count):
      return "\(count) memory balloons are too many: a machine has one at most"
    case .balloonTargetOutOfRange(let target, let memorySize):
      return """
        the guest cannot keep \(MemorySize(target)) of memory in a machine of \(MemorySize(memorySize)): choose less
        """
    case .tooManyConsoleDevices(let count):
      return "\(count) console devices are too many: give one more ports instead"
    case .consolePortCountOutOfRange(let count):
      return """
        a console device cannot have \(count) ports: give it 1 to \
        \(VirtioConsoleDeviceConfiguration.maximumPortCount)
        """
    case .badConsolePortName(let name):
      return "'\(name)' cannot be a console port's name: use 1 to 64 bytes, without slashes"
    case .consolePortNameTwice(let name):
      return "two console ports have the name '\(name)': the guest could not tell them apart"
    case .cannotListen(let path, let reason):
      return """
        nothing can listen at \(path) (\(reason)): choose another path, of 107 bytes at most, in a folder that \
        you can write to
        """
    case .tooManySocketDevices(let count):
      return "\(count) socket devices are too many: a machine has one at most"
    case .badGuestCID(let address):
      return "\(address) is no address of a guest on vsock: choose 3 to 4294967294"
    case .groupAddress(let address):
      return
        "\(address) is the address of a group: a network device needs one with an even first byte"
    case .diskImageInUse(let path):
      return
        "the disk image \(path) is in use: stop the machine or tool that has it open, or open it read-only in both"
    case .unusableDiskImage(let reason):
      return "the disk image \(reason)"
    case .unclearDiskFormat(let path, let format):
      return """
        \(path) begins like a \(format) image and is not called like one: say which it is, with format=\(format) or \
        format=raw
        """
    case .badDiskFormat(let format):
      return
        "'\(format)' is no format of disk images: there are raw, qcow2, vmdk, vhdx, vpc, vdi, parallels and others"
    case .missingProgram(let program, let package, let purpose):
      return "\(program) is needed to \(purpose): install it with `apt-get install \(package)`"
    case .remoteDiskUnavailable(let reason): return reason
    case .commandLineContainsNUL:
      return "the kernel command line contains a NUL byte, where the kernel would stop reading"
    case .notAFileURL(let url):
      return "\(url) is not the URL of a local file: download it and pass a file URL"
    case .unreadableFile(let what, let path, let reason):
      return "the \(what) \(path) cannot be read (\(reason)): check the path and its permissions"
    }
  }
}

extension VirtualMachineConfiguration {
  /// Checks all that can be known before the machine is made; what depends on the contents of files
  /// is checked when it starts.
  public func validate() throws(ConfigurationError) {
    guard let bootLoader else { throw .noBootLoader }
    guard (1...Self.maximumCPUCount).contains(cpuCount) else { throw .cpuCountOutOfRange(cpuCount) }
    guard (Self.minimumMemorySize...Self.maximumMemorySize).contains(memorySize) else {
      throw .memorySizeOutOfRange(memorySize)
    }
    guard memorySize % 4096 == 0 else { throw .memorySizeNotPageAligned(memorySize) }
    guard serialPorts.count <= Self.maximumSerialPortCount else {
      throw .tooManySerialPorts(serialPorts.count)
    }
    guard storageDevices.count <= Self.maximumStorageDeviceCount else {
      throw .tooManyStorageDevices(storageDevices.count)
    }
    for device in storageDevices { try device.validate() }
    guard networkDevices.count <= Self.maximumNetworkDeviceCount else {
      throw .tooManyNetworkDevices(networkDevices.count)
    }
    guard directorySharingDevices.count <= Self.maximumDirectorySharingDeviceCount else {
      throw .tooManyShares(directorySharingDevices.count)
    }
    var tags: Set<String> = []
    for share in directorySharingDevices {
      guard (1...36).contains(share.tag.utf8.count), !share.tag.utf8.contains(0) else {
        throw .badShareTag(share.tag)
      }
      guard tags.insert(share.tag).inserted else { throw .shareTagTwice(share.tag) }
      guard share.directoryURL.isFileURL else {
        throw .notAFileURL(share.directoryURL.absoluteString)
      }
    }
    guard memoryBalloonDevices.count <= 1 else {
      throw .tooManyMemoryBalloons(memoryBalloonDevices.count)
    }
    for case let target? in memoryBalloonDevices.map(\.targetMemorySize) where target > memorySize {
      throw .balloonTargetOutOfRange(target, memorySize: memorySize)
    }
    guard consoleDevices.count <= 1 else { throw .tooManyConsoleDevices(consoleDevices.count) }
    for device in consoleDevices { try device.validate() }
    guard socketDevices.count <= 1 else { throw .tooManySocketDevices(socketDevices.count) }
    for device in socketDevices {
      guard SocketDevice.guestCIDs.contains(device.guestCID) else {
        throw .badGuestCID(device.guestCID)
      }
      guard device.socketURL.isFileURL else {
        throw .notAFileURL(device.socketURL.absoluteString)
      }
    }
    for case let address? in networkDevices.map(\.macAddress) where address.isGroup {
      throw .groupAddress("\(address)")
    }
    try bootLoader.validate()
  }
}

extension VirtioConsoleDeviceConfiguration {
  func validate() throws(ConfigurationError) {
    guard (1...Self.maximumPortCount).contains(ports.count) else {
      throw .consolePortCountOutOfRange(ports.count)
    }
    var names: Set<String> = []
    for case let name? in ports.map(\.name) {
      guard (1...64).contains(name.utf8.count), !name.contains("/"), !name.utf8.contains(0) else {
        throw .badConsolePortName(name)
      }
      guard names.insert(name).inserted else { throw .consolePortNameTwice(name) }
    }
  }
}

extension LinuxBootLoader {
  func validate() throws(ConfigurationError) {
    guard !commandLine.utf8.contains(0) else { throw .commandLineContainsNUL }
    for url in [kernelURL, initialRamdiskURL] {
      guard let url else { continue }
      guard url.isFileURL else { throw .notAFileURL(url.absoluteString) }
    }
  }
}
