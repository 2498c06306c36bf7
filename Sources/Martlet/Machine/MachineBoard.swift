import DeviceModel
import MachineTypes

/// Everything around the virtual CPUs, as the machine's loop sees it. From any thread.
protocol MachineBoard: Sendable {
  func readPort(_ port: PortAddress, _ width: AccessWidth) -> UInt64
  func writePort(_ port: PortAddress, _ width: AccessWidth, _ value: UInt32) -> MachineRequest
  func readMemory(_ address: GuestPhysicalAddress, _ width: AccessWidth) -> UInt64
  func writeMemory(
    _ address: GuestPhysicalAddress, _ width: AccessWidth, _ value: UInt64
  ) -> MachineRequest

  /// A local APIC finished with a level-triggered vector.
  func endOfInterrupt(_ vector: InterruptVector)
  /// The power button, pressed and released.
  func pressPowerButton()
  var memoryBalloon: MemoryBalloon? { get }
  /// A disk, by its number in the configuration.
  func storage(_ number: Int) -> StorageLink?

  /// Serial input starts to flow and stops.
  func connect() throws
  func disconnect()
}

extension MachineBoard {
  var memoryBalloon: MemoryBalloon? { nil }
  func storage(_ number: Int) -> StorageLink? { nil }
}

/// What the guest can say to its hypervisor. From any virtual CPU's thread.
protocol HypervisorCalls: Sendable {
  /// `nil` for a general-protection fault.
  func readMSR(_ index: UInt32, on processor: VirtualCPUIndex) -> UInt64?
  /// `false` for a general-protection fault.
  func writeMSR(_ index: UInt32, _ value: UInt64, on processor: VirtualCPUIndex) -> Bool
  /// Returns what the guest finds in RAX.
  func hypercall(number: UInt64, arguments: [UInt64], privilegeLevel: UInt8, is64Bit: Bool)
    -> UInt64
}

/// A machine without a hypervisor to talk to.
struct NoHypervisorCalls: HypervisorCalls {
  func readMSR(_ index: UInt32, on processor: VirtualCPUIndex) -> UInt64? { nil }
  func writeMSR(_ index: UInt32, _ value: UInt64, on processor: VirtualCPUIndex) -> Bool { false }

  /// KVM_ENOSYS, which Linux takes for "no such call".
  func hypercall(
    number: UInt64, arguments: [UInt64], privilegeLevel: UInt8, is64Bit: Bool
  ) -> UInt64 { UInt64(bitPattern: -1000) }
}
