public import EngineInterface

/// What a virtual machine is made of.
///
/// ```swift
/// var configuration = VirtualMachineConfiguration()
/// configuration.bootLoader = LinuxBootLoader(kernelURL: kernel, commandLine: "console=ttyS0")
/// configuration.serialPorts = [SerialPortConfiguration(attachment: .standardIO)]
/// try configuration.validate()
/// let machine = try VirtualMachine(configuration: configuration)
/// ```
public struct VirtualMachineConfiguration: Sendable {
  /// What the machine starts with. Required.
  public var bootLoader: LinuxBootLoader?
  /// The number of virtual CPUs, 1…`maximumCPUCount`.
  public var cpuCount: Int
  /// RAM in bytes: a multiple of 4,096, `minimumMemorySize`…`maximumMemorySize`.
  public var memorySize: UInt64
  /// COM1 to COM4, in this order; up to four.
  public var serialPorts: [SerialPortConfiguration]
  /// Disks, in the order in which the guest finds them; up to `maximumStorageDeviceCount`.
  public var storageDevices: [VirtioBlockDeviceConfiguration]
  /// Network devices, in the order in which the guest finds them; up to `maximumNetworkDeviceCount`.
  public var networkDevices: [VirtioNetworkDeviceConfiguration]
  /// Folders of the host; up to `maximumDirectorySharingDeviceCount`.
  public var directorySharingDevices: [VirtioFileSystemDeviceConfiguration]
  /// What virtio devices are behind.
  public var virtioTransport: VirtioTransport
  /// Memory balloons; up to one.
  public var memoryBalloonDevices: [VirtioMemoryBalloonDeviceConfiguration]
  /// Console devices; up to one.
  public var consoleDevices: [VirtioConsoleDeviceConfiguration]
  /// Socket devices; up to one.
  public var socketDevices: [VirtioSocketDeviceConfiguration]
  /// Whether the guest has a virtio entropy device.
  public var hasEntropyDevice: Bool
  /// What runs the virtual CPUs.
  public var engine: EngineChoice
  /// What CPUID tells the guest.
  public var cpuModel: CPUModel
  /// The hypervisor that the guest finds.
  public var hypervisorInterface: HypervisorInterface
  /// What happens when the guest resets its machine.
  public var onReset: ResetAction
  /// Where the guest's randomness comes from.
  public var entropy: Entropy
  /// What the software engine reports while it executes; `nil` for nothing. KVM reports nothing.
  public var trace: ExecutionTrace?

  public static let maximumCPUCount = 64
  public static let minimumMemorySize: UInt64 = 4 << 20
  public static let maximumMemorySize: UInt64 = 1 << 40
  public static let maximumSerialPortCount = 4
  public static let maximumStorageDeviceCount = PCISlots.disks.count
  public static let maximumNetworkDeviceCount = PCISlots.networks.count
  public static let maximumDirectorySharingDeviceCount = PCISlots.shares.count

  /// One CPU, 512 MiB, no serial port, the best engine that the host offers.
  public init() {
    bootLoader = nil
    cpuCount = 1
    memorySize = 512 << 20
    serialPorts = []
    storageDevices = []
    networkDevices = []
    directorySharingDevices = []
    virtioTransport = .pci
    memoryBalloonDevices = []
    consoleDevices = []
    socketDevices = []
    hasEntropyDevice = true
    engine = .automatic
    cpuModel = .automatic
    hypervisorInterface = .kvm
    onReset = .stop
    entropy = .host
    trace = nil
  }
}

/// What runs the virtual CPUs.
public enum EngineChoice: String, Sendable, CaseIterable {
  /// KVM where the hardware stands behind it, the software engine elsewhere.
  case automatic = "auto"
  /// Martlet's own engine: on any x86-64 host, without privileges.
  case software
  /// The host kernel's KVM.
  case kvm
}

/// What CPUID tells the guest about its processor.
public enum CPUModel: String, Sendable, CaseIterable {
  /// `host` on KVM, `x86-64` on the software engine.
  case automatic = "auto"
  /// A conservative 64-bit processor.
  case x86_64 = "x86-64"
  /// A 32-bit processor without long mode.
  case i686
  /// All features of the host's processor that the engine can give.
  case host
}

/// The hypervisor that the guest finds.
public enum HypervisorInterface: String, Sendable, CaseIterable {
  /// KVM's identification, with `kvmclock`.
  case kvm
  /// None: the guest takes its machine for hardware and calibrates its own clocks.
  case none
}

/// What virtio devices are behind.
public enum VirtioTransport: String, Sendable, CaseIterable {
  /// Functions on the PCI bus.
  case pci
  /// Registers in memory that ACPI tells of (LNRO0005), for guests without PCI. Interrupts are shared.
  case mmio
}

/// What happens when the guest resets its machine.
public enum ResetAction: String, Sendable, CaseIterable {
  /// The machine stops, with `ExitReason.reset`.
  case stop = "exit"
  /// It starts again from the boot loader, with fresh memory.
  case reboot
}

/// Where the guest's randomness comes from.
public enum Entropy: Hashable, Sendable {
  /// The host's random generator.
  case host
  /// A generator that yields the same numbers for the same seed. For tests: it can be predicted.
  case seeded(UInt64)
}

/// A 16550A serial port.
public struct SerialPortConfiguration: Sendable {
  /// What is at the other end of the line; `nil` for nothing.
  public var attachment: (any SerialPortAttachment)?

  public init(attachment: (any SerialPortAttachment)? = nil) { self.attachment = attachment }
}
