import BootLoaders
import ChipsetDevices
import DeviceModel
import EngineInterface
import FirmwareTables
import FoundationEssentials
import GuestMemory
import HostSystem
import KVMEngine
import Logging
import MachineTypes
import PCIBus
import Paravirtualization
import SoftwareEngine
import X86

extension MachineParts {
  /// The largest kernel or initial RAM disk that is read.
  private static let fileSizeLimit = 4 << 30

  /// Puts the PC together that the configuration describes: memory, devices, engine, firmware tables
  /// and kernel, with the first CPU at the kernel's entry.
  static func assemble(_ configuration: VirtualMachineConfiguration) throws -> MachineParts {
    try configuration.validate()
    guard let bootLoader = configuration.bootLoader else { throw ConfigurationError.noBootLoader }

    let memory = try GuestRAM(byteCount: configuration.memorySize)
    let clock = try RealTimeClock()
    let link = EngineLink()
    let lines = serialLines(configuration)
    let chipset = try makeChipset(memory, configuration, lines, clock, link)
    let entropy = configuration.entropy.source()
    let pci = try PCIBoard(
      configuration, chipset, memory: memory, messages: link, entropy: entropy,
      clock: clock)
    let model = ProcessorModel.select(
      configuration, memory: memory,
      time: TimeSource(
        clock: clock, tscFrequencyKilohertz: SoftwareExecutionEngine.tscFrequencyKilohertz))
    let engine = try makeEngine(
      configuration,
      EngineConfiguration(
        memory: memory, virtualCPUCount: configuration.cpuCount, cpuid: model.cpuid,
        clock: clock, entropy: entropy,
        externalInterrupts: chipset.legacyInterrupts, delegatedMSRs: model.delegatedMSRs,
        trace: configuration.trace))
    link.connect(to: engine)

    let guest = try load(bootLoader, configuration, memory, cpuid: model.cpuid)
    try placeProcessors(of: engine, at: guest.state, signature: model.cpuid.signature)
    return MachineParts(
      engine: engine, board: ChipsetBoard(chipset: chipset, lines: lines, pci: pci),
      hypervisor: model.hypervisor, clock: clock)
  }

  private static func serialLines(
    _ configuration: VirtualMachineConfiguration
  ) -> [COMPort: SerialLine] {
    var lines: [COMPort: SerialLine] = [:]
    for (port, serial) in zip(COMPort.allCases, configuration.serialPorts) {
      lines[port] = serial.attachment.map(SerialLine.init)
    }
    return lines
  }

  private static func makeChipset(
    _ memory: GuestRAM, _ configuration: VirtualMachineConfiguration,
    _ lines: [COMPort: SerialLine], _ clock: RealTimeClock, _ link: EngineLink
  ) throws -> Chipset {
    var sinks: [COMPort: any SerialSink] = [:]
    for (port, _) in zip(COMPort.allCases, configuration.serialPorts) {
      sinks[port] = lines[port].map(SerialLineSink.init) ?? NullSerialSink()
    }
    let high = memory.byteCount(above4GiB: true)
    return try Chipset(
      Chipset.Configuration(
        memory: CMOSMemory(
          memoryBelow4GiB: memory.byteCount - high, memoryAbove4GiB: high,
          virtualCPUCount: configuration.cpuCount),
        serialPorts: sinks, hasPCI: true),
      clock: clock, messageSink: link,
      interruptRequestChanged: { _ in link.externalInterruptsChanged() },
      routeChanged: { link.setInterruptRoute(pin: $0, to: $1) })
  }

  private static func makeEngine(
    _ configuration: VirtualMachineConfiguration, _ engine: EngineConfiguration
  ) throws -> any Engine {
    let logger = Logger(label: "martlet")
    switch configuration.engine {
    case .software:
      return try SoftwareExecutionEngine(engine)
    case .kvm:
      return try makeKVMEngine(engine)
    case .automatic:
      let choice = EngineReport.automaticChoice()
      logger.info("engine \(choice.engine.rawValue): \(choice.reason)")
      var decided = configuration
      decided.engine = choice.engine
      return try makeEngine(decided, engine)
    }
  }

  /// KVM answers its own paravirtual MSRs, and knows its own TSC's frequency.
  private static func makeKVMEngine(_ configuration: EngineConfiguration) throws -> any Engine {
    var configuration = configuration
    configuration.delegatedMSRs = []
    configuration.cpuid.entries.removeAll { $0.leaf == 0x4000_0010 }
    let shared = configuration
    return try KVMExecutionEngine(shared) { _ throws(EngineFailure) in
      try SingleInstructionExecutor(shared)
    }
  }

  private static func load(
    _ bootLoader: LinuxBootLoader, _ configuration: VirtualMachineConfiguration,
    _ memory: GuestRAM, cpuid: CPUIDTable
  ) throws -> LoadedGuest {
    let kernel = try read("kernel", bootLoader.kernelURL)
    let initialRAMDisk = try bootLoader.initialRamdiskURL.map {
      try read("initial RAM disk", $0)
    }
    let ports = zip(COMPort.allCases, configuration.serialPorts).map { port, _ in
      PlatformDescription.SerialPort(
        port: port.firstPort, interrupt: port.interruptNumber)
    }
    let firmware = try FirmwareImage(
      platform: PlatformDescription(
        cpuCount: configuration.cpuCount, serialPorts: ports, hasHPET: true,
        softOffSleepType: ChipsetLayout.softOffSleepType,
        pciRoot: PCIBoard.description(memory: memory, addressBits: cpuid.physicalAddressBits),
        systemBusObjects: configuration.virtioDescriptions),
      memory: memory)
    var options = BootOptions()
    options.kernelAddress = bootLoader.kernelAddress.map(GuestPhysicalAddress.init(rawValue:))
    if !cpuid.hasLongMode { options.entry = .linux32 }
    return try BootLoaders.LinuxBootLoader.load(
      kernel: kernel, initialRAMDisk: initialRAMDisk, commandLine: bootLoader.commandLine,
      options: options, memory: memory, firmware: firmware, signature: cpuid.signature)
  }

  private static func read(_ what: String, _ url: URL) throws(ConfigurationError) -> [UInt8] {
    let path = url.path
    do {
      return try HostFile.read(path: path, limit: fileSizeLimit)
    } catch {
      throw .unreadableFile(what: what, path: path, reason: "\(error)")
    }
  }

  /// The first CPU starts at the kernel's entry; the others wait for it to wake them.
  private static func placeProcessors(
    of engine: any Engine, at entry: VirtualCPUState, signature: UInt32
  ) throws(EngineFailure) {
    for processor in engine.virtualCPUs {
      guard processor.index != .bootstrap else {
        try processor.restoreState(entry)
        continue
      }
      var state = VirtualCPUState.reset(signature: signature)
      state.activity = .waitingForStartup
      try processor.restoreState(state)
    }
  }
}

extension GuestRAM {
  fileprivate func byteCount(above4GiB: Bool) -> UInt64 {
    regions.filter { ($0.start.rawValue >= Self.highMemoryStart) == above4GiB }
      .reduce(0) { $0 + $1.byteCount }
  }
}

extension CPUIDTable {
  /// CPUID.80000001H:EDX.LM.
  var hasLongMode: Bool { entry(leaf: 0x8000_0001).map { $0.edx >> 29 & 1 == 1 } ?? false }

  /// CPUID.80000008H:EAX[7:0]; 36 where that leaf is missing.
  var physicalAddressBits: UInt8 {
    entry(leaf: 0x8000_0008).map { UInt8(truncatingIfNeeded: $0.eax) } ?? 36
  }
}

extension Entropy {
  fileprivate func source() -> any EntropySource {
    switch self {
    case .host: HostEntropySource()
    case .seeded(let seed): SeededEntropySource(seed: seed)
    }
  }
}
